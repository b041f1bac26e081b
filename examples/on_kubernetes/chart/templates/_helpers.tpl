{{- define "wallaroo.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* What every object has: labels that select, and labels that only tell. */}}
{{- define "wallaroo.metadata" -}}
{{ include "wallaroo.labels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "wallaroo.kind" -}}
{{- if .Values.workers.kind -}}
{{ .Values.workers.kind }}
{{- else if and .Values.sources .Values.checkpoints.url -}}
StatefulSet
{{- else -}}
Deployment
{{- end -}}
{{- end }}

{{/* How many hosts stand by. They do not listen, so senders must not be led to them. */}}
{{- define "wallaroo.standby" -}}
{{- if ne (include "wallaroo.kind" .) "Deployment" -}}
0
{{- else if ne (toString .Values.workers.standby) "" -}}
{{ .Values.workers.standby }}
{{- else -}}
{{ empty .Values.sources | ternary 1 0 }}
{{- end -}}
{{- end }}

{{/* The options of every wallaroo-run. */}}
{{- define "wallaroo.options" -}}
- --application-module
- {{ .Values.application.module }}
- --application-path
- {{ .Values.application.folder }}
- --secret-file
- /etc/wallaroo/secret
- --tls-cert
- /etc/wallaroo/tls.crt
- --tls-key
- /etc/wallaroo/tls.key
- --tls-ca
- /etc/wallaroo/ca.crt
- --log-format
- json
- --bind
- $(POD_IP)
{{- range .Values.options }}
- {{ . | quote }}
{{- end }}
{{- end }}

{{/* What application_setup gets: the same in every process. */}}
{{- define "wallaroo.arguments" -}}
{{- if .Values.sources }}
- --in
- {{ include "wallaroo.addresses" . | quote }}
{{- end }}
{{- range .Values.application.arguments }}
- {{ . | quote }}
{{- end }}
{{- end }}

{{- define "wallaroo.addresses" -}}
{{- range $index, $source := .Values.sources -}}
{{- if $index }},{{ end }}0.0.0.0:{{ $source.port }}
{{- end -}}
{{- end }}

{{- define "wallaroo.env" -}}
- name: POD_IP
  valueFrom: {fieldRef: {fieldPath: status.podIP}}
- name: POD_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
- name: NODE_NAME
  valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "wallaroo.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.serviceAccount }}
serviceAccountName: {{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{- define "wallaroo.container" -}}
image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"
imagePullPolicy: {{ .Values.image.pullPolicy }}
# The root is read-only. The run file, by which wallaroo-cluster finds the cluster, is here.
workingDir: /var/lib/wallaroo
command: [wallaroo-run]
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- with .Values.checkpoints.secret }}
envFrom:
- secretRef: {name: {{ . }}}
{{- end }}
{{- end }}

{{- define "wallaroo.mounts" -}}
- {name: cluster, mountPath: /etc/wallaroo, readOnly: true}
- {name: work, mountPath: /var/lib/wallaroo}
- {name: tmp, mountPath: /tmp}
{{- end }}

{{- define "wallaroo.volumes" -}}
- name: cluster
  secret: {secretName: {{ .Values.cluster.secret }}, defaultMode: 0440}
- name: tmp
  emptyDir: {}
{{- end }}
