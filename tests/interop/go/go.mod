module wsedge/interop

go 1.25.0

// What both programs share; it has no release.
replace wsedge/interop/transcript => ../transcript

require (
	github.com/coder/websocket v1.8.15
	github.com/gorilla/websocket v1.5.3
	wsedge/interop/transcript v0.0.0
)
