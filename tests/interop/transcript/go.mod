module wsedge/interop/transcript

go 1.25.0
