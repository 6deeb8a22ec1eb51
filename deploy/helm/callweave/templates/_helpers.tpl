{{- define "callweave.name" -}}
{{- if contains .Chart.Name .Release.Name -}}{{ .Release.Name | trunc 40 | trimSuffix "-" }}{{- else -}}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 40 | trimSuffix "-" }}{{- end -}}
{{- end -}}

{{- define "callweave.labels" -}}
app.kubernetes.io/name: callweave
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- /* The labels that choose the Pods of a part: list of the context and the part's name. */ -}}
{{- define "callweave.selector" -}}
app.kubernetes.io/name: callweave
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "callweave.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}{{ .Values.serviceAccount.name | default (include "callweave.name" .) }}{{- else -}}{{ .Values.serviceAccount.name | default "default" }}{{- end -}}
{{- end -}}

{{- /* The image of a part: list of the context and the part's own tag. */ -}}
{{- define "callweave.image" -}}
{{- $root := index . 0 -}}
{{- $tag := index . 1 | default $root.Values.image.tag | default $root.Chart.AppVersion -}}
{{- if and $root.Values.image.digest (not (index . 1)) -}}
{{ $root.Values.image.repository }}@{{ $root.Values.image.digest }}
{{- else -}}
{{ $root.Values.image.repository }}:{{ $tag }}
{{- end -}}
{{- end -}}

{{- define "callweave.settings" -}}
{{- $settings := deepCopy .Values.settings -}}
{{- $_ := required "settings.kafka.bootstrap: the address of your Kafka, as host:port,host:port" (dig "kafka" "bootstrap" "" $settings) -}}
{{- $_ := required "settings.clickhouse.url: the address of your ClickHouse, as http://host:8123" (dig "clickhouse" "url" "" $settings) -}}
{{- toToml $settings -}}
{{- end -}}

{{- define "callweave.port" -}}
{{ dig "ingress" "port" 8080 .Values.settings | int }}
{{- end -}}

{{- /* How long a stop of the ingress takes, with some room: leave_s, drain_s, and closing the producer and the spool. */ -}}
{{- define "callweave.ingressGrace" -}}
{{ add (dig "ingress" "leave_s" 1 .Values.settings | ceil | int) (dig "ingress" "drain_s" 20 .Values.settings | ceil | int) 30 }}
{{- end -}}

{{- define "callweave.metricsPort" -}}9640{{- end -}}

{{- /* "yes" where the pages of a worker, the sink or the poller are reached from outside their Pod. */ -}}
{{- define "callweave.metricsReached" -}}
{{- if not (has (dig "metrics" "host" "127.0.0.1" .Values.settings) (list "127.0.0.1" "localhost")) -}}yes{{- end -}}
{{- end -}}

{{- /* The variables of a part: list of the context and the lines of its own. */ -}}
{{- define "callweave.env" -}}
- name: CALLWEAVE_CONFIG
  value: /etc/callweave/callweave.toml
- name: CALLWEAVE_EMBEDDED__DATA_DIR
  value: /var/lib/callweave
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "callweave.mounts" -}}
- name: settings
  mountPath: /etc/callweave
  readOnly: true
{{- if .Values.existingSecret }}
- name: secrets
  mountPath: /run/secrets/callweave
  readOnly: true
{{- end }}
- name: tmp
  mountPath: /tmp
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* The volumes of a Pod: list of the context and the name of the ConfigMap with the settings. */ -}}
{{- define "callweave.volumes" -}}
{{- $root := index . 0 -}}
- name: settings
  configMap:
    name: {{ index . 1 }}
{{- if $root.Values.existingSecret }}
- name: secrets
  secret:
    secretName: {{ $root.Values.existingSecret }}
    defaultMode: 0440
{{- end }}
- name: tmp
  emptyDir:
    sizeLimit: 64Mi
{{- with $root.Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "callweave.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- /* What all Pods share: list of the context and the part's values. */ -}}
{{- define "callweave.pod" -}}
{{- $root := index . 0 -}}
serviceAccountName: {{ include "callweave.serviceAccount" $root }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- toYaml $root.Values.podSecurityContext | nindent 2 }}
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with (index . 1).nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with (index . 1).tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with (index . 1).affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* The metadata of a Pod: list of the context, the part's name and its values. New settings start new Pods. */ -}}
{{- define "callweave.podMetadata" -}}
{{- $root := index . 0 -}}
labels:
  {{- include "callweave.selector" (list $root (index . 1)) | nindent 2 }}
annotations:
  checksum/settings: {{ include "callweave.settings" $root | sha256sum }}
  {{- with (index . 2).annotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- /* One way to ask a page of a worker, the sink or the poller: list of the context and the page. */ -}}
{{- define "callweave.asked" -}}
{{- if include "callweave.metricsReached" (index . 0) -}}
httpGet: {path: {{ index . 1 }}, port: metrics}
{{- else -}}
exec:
  command: [python, -m, deploy.process.probe, "http://127.0.0.1:{{ include "callweave.metricsPort" . }}{{ index . 1 }}"]
{{- end -}}
{{- end -}}

{{- /* Pages on the loopback interface alone are asked from inside the Pod. */ -}}
{{- define "callweave.probes" -}}
ports:
  - name: metrics
    containerPort: {{ include "callweave.metricsPort" . }}
startupProbe:
  {{- include "callweave.asked" (list . "/healthz") | nindent 2 }}
  periodSeconds: 3
  timeoutSeconds: 5
  failureThreshold: 40
livenessProbe:
  {{- include "callweave.asked" (list . "/healthz") | nindent 2 }}
  periodSeconds: 20
  timeoutSeconds: 5
  failureThreshold: 4
readinessProbe:
  {{- include "callweave.asked" (list . "/readyz") | nindent 2 }}
  periodSeconds: 15
  timeoutSeconds: 5
{{- end -}}

{{- define "callweave.setupContainer" -}}
image: {{ include "callweave.image" (list . "") }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
env:
  {{- include "callweave.env" . | nindent 2 }}
  {{- if .Values.setup.existingSecret }}
  - name: CALLWEAVE_CLICKHOUSE__MIGRATOR_PASSWORD__FILE
    value: /run/secrets/callweave-setup/{{ .Values.setup.migratorPasswordKey }}
  {{- end }}
securityContext:
  {{- include "callweave.containerSecurity" . | nindent 2 }}
resources:
  {{- toYaml .Values.setup.resources | nindent 2 }}
volumeMounts:
  - name: data
    mountPath: /var/lib/callweave
  {{- if .Values.setup.existingSecret }}
  - name: setup-secrets
    mountPath: /run/secrets/callweave-setup
    readOnly: true
  {{- end }}
  {{- include "callweave.mounts" . | nindent 2 }}
{{- end -}}
