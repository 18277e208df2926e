{{/* Add the values that releases before did not have, where they are absent: `helm upgrade --reuse-values` has the old release's values alone. Each template calls it first. A value that is set stays, also one that is empty. */}}
{{- define "wsedge.addedValues" -}}
{{- include "wsedge.fill" (list .Values (.Files.Get "files/added-values.yaml" | fromYaml)) -}}
{{- end -}}

{{/* Set the keys of a map that it lacks, at every depth. Call with (list map defaults). */}}
{{- define "wsedge.fill" -}}
{{- $values := index . 0 -}}
{{- range $key, $default := index . 1 -}}
{{- if not (hasKey $values $key) -}}
{{- $_ := set $values $key $default -}}
{{- else if and (kindIs "map" $default) (kindIs "map" (get $values $key)) -}}
{{- include "wsedge.fill" (list (get $values $key) $default) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Prefix of object names: the release, and the chart when the release does not name it. At most 40 characters, so that every suffix fits into 63. */}}
{{- define "wsedge.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Labels that select a component's pods. Call with (dict "root" $ "component" "operator"). */}}
{{- define "wsedge.selector" -}}
app.kubernetes.io/name: wsedge-{{ .component }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
{{- end -}}

{{/* Labels of every object: the labels that selectors need, then the user's, then the others; each key once. Call with (dict "root" $ "component" "operator"), and "more" for an object with labels of its own. */}}
{{- define "wsedge.labels" -}}
{{- $chart := printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- $fixed := dict "app.kubernetes.io/component" .component "app.kubernetes.io/managed-by" .root.Release.Service }}
{{- $rest := dict "helm.sh/chart" $chart "app.kubernetes.io/part-of" "wsedge" "app.kubernetes.io/version" .root.Chart.AppVersion }}
{{- merge (include "wsedge.selector" . | fromYaml) $fixed (.more | default dict) (.root.Values.commonLabels | default dict) $rest | toYaml }}
{{- end -}}

{{/* Labels of pods: without the chart's version, so that an upgrade that changes no image and no setting restarts no pod. */}}
{{- define "wsedge.podLabels" -}}
{{- $fixed := dict "app.kubernetes.io/component" .component }}
{{- $rest := dict "app.kubernetes.io/part-of" "wsedge" }}
{{- merge (include "wsedge.selector" . | fromYaml) $fixed (.podLabels | default dict) (.root.Values.commonLabels | default dict) $rest | toYaml }}
{{- end -}}

{{/* The annotations of an object, and the common ones that it does not have, as a part of its metadata; nothing without any. Call with (dict "root" $), and "own" for an object with annotations. */}}
{{- define "wsedge.annotations" -}}
{{- with merge (deepCopy (.own | default dict)) (.root.Values.commonAnnotations | default dict) }}
  annotations: {{- toYaml . | nindent 4 }}
{{- end }}
{{- end -}}

{{/* The namespace selector as text: a=b,c in (d,e),!f. */}}
{{- define "wsedge.namespaceSelector" -}}
{{- $parts := list -}}
{{- range $key, $value := .Values.namespaceSelector.matchLabels -}}
{{- $parts = append $parts (printf "%s=%s" $key $value) -}}
{{- end -}}
{{- range .Values.namespaceSelector.matchExpressions -}}
{{- if and (has .operator (list "In" "NotIn")) (not .values) -}}
{{- fail (printf "namespaceSelector: %s %s needs values" .key .operator) -}}
{{- else if and (has .operator (list "Exists" "DoesNotExist")) .values -}}
{{- fail (printf "namespaceSelector: %s %s takes no values" .key .operator) -}}
{{- end -}}
{{- $form := get (dict "In" "%s in (%s)" "NotIn" "%s notin (%s)" "Exists" "%s" "DoesNotExist" "!%s") .operator -}}
{{- $parts = append $parts (.values | empty | ternary (printf $form .key) (printf $form .key (join "," .values))) -}}
{{- end -}}
{{- if and $parts .Values.watchNamespaces -}}
{{- fail "namespaceSelector selects among all namespaces of the cluster, and watchNamespaces lists some: set one of the two" -}}
{{- end -}}
{{- join "," $parts -}}
{{- end -}}

{{/* The image of operator and statistics: by digest if it is set, else by tag. */}}
{{- define "wsedge.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end -}}
{{- end -}}
{{- end -}}

{{/* The image of relays: relay.image, else image. */}}
{{- define "wsedge.relayImage" -}}
{{- $own := .Values.relay.image -}}
{{- if or $own.repository $own.tag $own.digest -}}
{{- $repository := $own.repository | default .Values.image.repository -}}
{{- if $own.digest }}{{ $repository }}@{{ $own.digest }}{{ else }}{{ $repository }}:{{ $own.tag | default .Chart.AppVersion }}{{ end -}}
{{- else -}}
{{- include "wsedge.image" . -}}
{{- end -}}
{{- end -}}

{{/* Scheduling of pods. Call with a component's values. */}}
{{- define "wsedge.placement" -}}
{{- with .priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .topologySpreadConstraints }}
topologySpreadConstraints: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* "true" when admission policies restrict the operator. They are cluster-scoped, so an installation without cluster rights cannot create them. */}}
{{- define "wsedge.operatorPolicy" -}}
{{- $served := semverCompare ">=1.30.0-0" .Capabilities.KubeVersion.Version -}}
{{- $wanted := .Values.admission.operator -}}
{{- if and (eq $wanted "Enabled") (not $served) -}}
{{- fail "admission.operator=Enabled needs Kubernetes 1.30 or newer (ValidatingAdmissionPolicy)" -}}
{{- end -}}
{{- or (eq $wanted "Enabled") (and (eq $wanted "Auto") $served .Values.rbac.create (not .Values.watchNamespaces)) -}}
{{- end -}}

{{/* The operator's rights in the namespaces that it serves: VERBS of wsedge_operator.kube.kinds, and a test compares them.
No wildcard; a server-side apply needs both create and patch. */}}
{{- define "wsedge.operatorRules" -}}
- apiGroups: [wsedge.io]
  resources: [billingplans, websocketdomains]
  verbs: [list, watch]
- apiGroups: [wsedge.io]
  resources: [billingplans/status, websocketdomains/status]
  verbs: [patch]
# A child's owner reference has blockOwnerDeletion, for which some clusters check this right.
- apiGroups: [wsedge.io]
  resources: [websocketdomains/finalizers]
  verbs: [update]
- apiGroups: [""]
  resources: [configmaps, secrets, services, serviceaccounts]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
# A pod's ReplicaSet names its Deployment; only pods of a domain's own Deployment are called.
- apiGroups: [apps]
  resources: [replicasets]
  verbs: [get, list]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
# The entrances that a domain may ask for (spec.exposure). A right on a kind that is not installed is harmless.
- apiGroups: [networking.k8s.io]
  resources: [ingresses]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes, tlsroutes, listenersets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [gateway.networking.x-k8s.io]
  resources: [xlistenersets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [cert-manager.io]
  resources: [certificates]
  verbs: [get, list, watch, create, patch, delete]
# What an issuer says of a Certificate that waits, which the Certificate itself does not.
- apiGroups: [cert-manager.io]
  resources: [certificaterequests]
  verbs: [list, watch]
# The addresses of the Gateways to which routes attach.
- apiGroups: [gateway.networking.k8s.io]
  resources: [gateways]
  verbs: [list, watch]
# Patch: an annotation on a relay's pod makes its kubelet sync a new configuration at once.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, patch]
# A namespace that was deleted and created again has another uid, and is another account.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get, list, watch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end -}}
