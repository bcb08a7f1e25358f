package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"homefeed/api/cms/bigtablelog"
	"homefeed/pipeline/event"
	"homefeed/pipeline/trigger"
	"homefeed/services/songsplayed/bigtabletable"
	bigtablestore "homefeed/shelves/store/bigtable"
)

var (
	manifestArg  = regexp.MustCompile(`^\s+- (\S+)(?:\s+#.*)?$`)
	variable     = regexp.MustCompile(`\$\((\w+)\)`)
	variableMade = regexp.MustCompile(`(?m)^\s+- (\w+)=(.*)$`)
)

func read(t *testing.T, elements ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(append([]string{"..", "..", "deploy"}, elements...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// manifestArgs is the list below "args:", one entry a line.
func manifestArgs(manifest string) []string {
	var args []string
	_, rest, _ := strings.Cut(manifest, " args:\n")
	for line := range strings.Lines(rest) {
		m := manifestArg.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil {
			break
		}
		args = append(args, m[1])
	}
	return args
}

// TestManifests holds the Kubernetes manifests to the flags: each role is started with flags that it takes, listens
// where its ports say, and calls services that there are.
func TestManifests(t *testing.T) {
	kustomization := read(t, "k8s", "kustomization.yaml")
	variables := variablesOf(kustomization)
	for _, role := range []string{"api", "cms", "refresh", "songsplayed", "word2vec", "catalog"} {
		t.Run(role, func(t *testing.T) {
			if !strings.Contains(kustomization, role+".yaml") {
				t.Errorf("kustomization.yaml lacks %s.yaml", role)
			}
			manifest := read(t, "k8s", role+".yaml")
			args := manifestArgs(manifest)
			if len(args) < 3 || args[0] != role {
				t.Fatalf("args %q, want %q and its flags", args, role)
			}
			checkArgs(t, args, variables)
			for _, arg := range args {
				checkPort(t, manifest, arg)
			}
		})
	}
}

// TestSignInManifest holds the CMS without a proxy to the flags, too: it is a patch of the one above.
func TestSignInManifest(t *testing.T) {
	variables := variablesOf(read(t, "k8s", "kustomization.yaml") + read(t, "k8s-sign-in", "kustomization.yaml"))
	patch := read(t, "k8s-sign-in", "cms.yaml")
	args := manifestArgs(patch)
	if !slices.Contains(args, "-oidc-client-secret-file=/etc/cms-client/secret") || !strings.Contains(patch, "mountPath: /etc/cms-client,") {
		t.Errorf("args %q: want the client's secret from where it is mounted", args)
	}
	checkArgs(t, args, variables)
	for _, arg := range args {
		if name, _, _ := strings.Cut(arg, "="); name == "-listen" || name == "-admin" {
			checkPort(t, read(t, "k8s", "cms.yaml"), arg)
		}
	}
}

// variablesOf are what a kustomization makes for the manifests.
func variablesOf(kustomization string) map[string]string {
	variables := map[string]string{}
	for _, m := range variableMade.FindAllStringSubmatch(kustomization, -1) {
		variables[m[1]] = m[2]
	}
	return variables
}

// checkArgs fills the variables in, and reads the command line without running it.
func checkArgs(t *testing.T, args []string, variables map[string]string) {
	t.Helper()
	for i, arg := range args {
		for _, m := range variable.FindAllStringSubmatch(arg, -1) {
			if variables[m[1]] == "" {
				t.Errorf("%s: kustomization.yaml makes only %v", arg, variables)
			}
			args[i] = strings.ReplaceAll(args[i], m[0], variables[m[1]])
		}
	}
	if err := parseOnly(t, args); err != nil {
		t.Error(err)
	}
}

// checkPort looks for the port of a flag where it has to be, too.
func checkPort(t *testing.T, manifest, arg string) {
	flag, value, _ := strings.Cut(arg, "=")
	switch {
	case flag == "-listen":
		if want := "{name: serve, containerPort: " + strings.TrimPrefix(value, ":") + "}"; !strings.Contains(manifest, want) {
			t.Errorf("%s: want the port %s", arg, want)
		}
	case flag == "-grpc":
		if want := "{name: grpc, containerPort: " + strings.TrimPrefix(value, ":") + "}"; !strings.Contains(manifest, want) {
			t.Errorf("%s: want the port %s", arg, want)
		}
	case flag == "-admin":
		port := strings.TrimPrefix(value, ":")
		for _, want := range []string{"{name: admin, containerPort: " + port + "}", `prometheus.io/port: "` + port + `"`} {
			if !strings.Contains(manifest, want) {
				t.Errorf("%s: want %s", arg, want)
			}
		}
	case strings.HasPrefix(value, "dns:///"):
		service, port, _ := strings.Cut(strings.TrimPrefix(value, "dns:///"), ":")
		if other := read(t, "k8s", service+".yaml"); !strings.Contains(other, "kind: Service") || !strings.Contains(other, "port: "+port+",") {
			t.Errorf("%s: %s.yaml has no such service", arg, service)
		}
	}
}

// TestTerraform holds the topics, subscription and table of Terraform to the names in the program.
func TestTerraform(t *testing.T) {
	pubsub, tables := read(t, "terraform", "pubsub.tf"), read(t, "terraform", "bigtable.tf")
	c := &refreshConfig{}
	command{action: c}.flagSet()
	for _, name := range append(event.Topics(), event.FeedbackTopic, event.DeadLetterTopic, trigger.Topic, trigger.DeadLetterTopic, c.Subscription) {
		if !strings.Contains(pubsub, `"`+name+`"`) {
			t.Errorf("pubsub.tf lacks %q", name)
		}
	}
	for _, name := range []string{bigtablestore.DefaultTable, bigtabletable.TableName, bigtablelog.TableName} {
		if !strings.Contains(tables, `"`+name+`"`) {
			t.Errorf("bigtable.tf lacks the table %q", name)
		}
	}
}
