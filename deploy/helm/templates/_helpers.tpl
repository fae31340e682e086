{{- define "framekeep.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "framekeep.selector" -}}
app.kubernetes.io/name: framekeep
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "framekeep.labels" -}}
{{ include "framekeep.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "framekeep.secret" -}}
{{- if .Values.existingSecret }}
{{- .Values.existingSecret }}
{{- else if .Values.secrets }}
{{- include "framekeep.name" . }}
{{- else }}
{{- fail "set existingSecret, or secrets.FRAMEKEEP_LINKS_KEYS: the server does not start without a key" }}
{{- end }}
{{- end }}
