package agent

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"bouncefeed/internal/e2e/e2etest"
	"bouncefeed/internal/event"
	"bouncefeed/internal/report"
)

const monitoring = "../../packaging/"

// promtool runs Prometheus' own judge, as packaging/test-root.sh has prepared it.
func promtool(t *testing.T, input io.Reader, args ...string) {
	t.Helper()
	program, err := e2etest.ProgramOf("prometheus", t.TempDir(), "/opt/prometheus/usr/bin/promtool")
	if err != nil {
		t.Skip(err)
	}
	cmd := exec.Command(program, args...)
	cmd.Stdin = input
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %q: %v\n%s", args, err, out)
	}
}

// exampleMetrics are those of a daemon at work.
func exampleMetrics(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "log"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	text, err := watched(t, dir).Metrics()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestPromtoolLikesTheMetrics(t *testing.T) {
	t.Parallel()
	promtool(t, strings.NewReader(exampleMetrics(t)), "check", "metrics")
	promtool(t, strings.NewReader(NoMetrics()), "check", "metrics")
	f := newFigures()
	for _, name := range []string{"a\"} 1\nbouncefeed_up{x=\"", "\\", "\xff\x00", "# TYPE x counter", strings.Repeat("ö", 200)} {
		facts(f, report.Fact{Provider: name, Class: report.Hard, Reason: event.UserUnknown})
	}
	promtool(t, strings.NewReader(toldBy(f)), "check", "metrics")
}

func TestPromtoolLikesTheRules(t *testing.T) {
	t.Parallel()
	rules, err := filepath.Glob(monitoring + "prometheus/*.rules.yaml")
	tests, err2 := filepath.Glob(monitoring + "prometheus/*.rules.test.yaml")
	if err != nil || err2 != nil || len(rules) == 0 || len(tests) != len(rules) {
		t.Fatalf("%q %q", rules, tests)
	}
	promtool(t, nil, append([]string{"check", "rules"}, rules...)...)
	promtool(t, nil, append([]string{"test", "rules"}, tests...)...)
}

// expressions are all of the alert rules and of the dashboard, by where they stand.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	files, err := filepath.Glob(monitoring + "prometheus/*.rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		var rules struct {
			Groups []struct {
				Rules []struct{ Alert, Record, Expr string }
			}
		}
		read(t, file, yaml.Unmarshal, &rules)
		for _, group := range rules.Groups {
			for _, rule := range group.Rules {
				all[filepath.Base(file)+" "+rule.Alert+rule.Record] = rule.Expr
			}
		}
	}
	for _, panel := range dashboard(t).Panels {
		for _, target := range panel.Targets {
			all[fmt.Sprintf("panel %s %s", panel.Title, target.RefID)] = strings.NewReplacer("$instance", ".*", "$__rate_interval", "5m").Replace(target.Expr)
		}
	}
	return all
}

func read(t *testing.T, file string, unmarshal func([]byte, any) error, to any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := unmarshal(text, to); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// Every metric that a rule or panel asks for is told, with the labels and words that it names.
func TestRulesAndDashboardAskForWhatThereIs(t *testing.T) {
	t.Parallel()
	labels := map[string][]string{"instance": nil, "job": nil, "le": nil}
	text := exampleMetrics(t)
	families := map[string]bool{}
	for _, found := range regexp.MustCompile(`(?m)^# TYPE (\S+) (\w+)$`).FindAllStringSubmatch(text, -1) {
		families[found[1]] = true
		if found[2] == "histogram" {
			families[found[1]+"_bucket"] = true
		}
	}
	for _, found := range regexp.MustCompile(`(\w+)="([^"]*)"`).FindAllStringSubmatch(text, -1) {
		labels[found[1]] = append(labels[found[1]], found[2])
	}
	labels["finding"], labels["severity"] = nil, nil
	asked := 0
	for where, expr := range expressions(t) {
		recorded := regexp.MustCompile(`\bprovider:\w+:\w+`).ReplaceAllString(expr, "")
		for _, name := range regexp.MustCompile(`\bbouncefeed_\w+`).FindAllString(recorded, -1) {
			if asked++; !families[name] {
				t.Errorf("%s asks for %s, which nothing tells", where, name)
			}
		}
		for _, found := range regexp.MustCompile(`(\w+)=~?"([^"]*)"`).FindAllStringSubmatch(expr, -1) {
			for _, word := range strings.Split(found[2], "|") {
				if word != ".*" && !slices.Contains(labels[found[1]], word) {
					t.Errorf("%s asks for %s %q", where, found[1], word)
				}
			}
		}
		for _, found := range regexp.MustCompile(`by \(([^)]*)\)`).FindAllStringSubmatch(expr, -1) {
			for _, label := range strings.Split(found[1], ", ") {
				if _, known := labels[label]; !known {
					t.Errorf("%s sums by %s", where, label)
				}
			}
		}
	}
	if asked < 40 {
		t.Errorf("only %d metrics asked for", asked)
	}
}

// dashboardFile is as much of Grafana's dashboard (schema version 39) as has to fit together.
type dashboardFile struct {
	UID, Title    string
	SchemaVersion int
	Templating    struct{ List []struct{ Name, Type string } }
	Panels        []struct {
		ID          int
		Type, Title string
		GridPos     struct{ X, Y, W, H int }
		Datasource  struct{ Type, UID string }
		Targets     []struct {
			RefID, Expr string
			Datasource  struct{ Type, UID string }
		}
	}
}

func dashboard(t *testing.T) *dashboardFile {
	t.Helper()
	d := &dashboardFile{}
	read(t, monitoring+"grafana/bouncefeed.json", json.Unmarshal, d)
	return d
}

// The panels have places and numbers of their own, ask the data source that was chosen, and say something.
func TestDashboard(t *testing.T) {
	t.Parallel()
	d := dashboard(t)
	if d.UID == "" || d.Title == "" || d.SchemaVersion != 39 || len(d.Panels) < 15 || len(d.Templating.List) != 2 {
		t.Errorf("%+v", d)
	}
	ids, cells := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" || p.GridPos.X+p.GridPos.W > 24 || p.GridPos.W < 1 || p.GridPos.H < 1 {
			t.Errorf("%+v", p)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := cells[[2]int{x, y}]; other != "" {
					t.Fatalf("%s lies on %s", p.Title, other)
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if len(p.Targets) == 0 || p.Datasource.UID != "${datasource}" {
			t.Errorf("%s: %+v", p.Title, p)
		}
		for _, target := range p.Targets {
			if target.RefID == "" || target.Datasource.UID != "${datasource}" || !strings.Contains(target.Expr, `{instance=~"$instance"`) {
				t.Errorf("%s: %+v", p.Title, target)
			}
		}
	}
}

// Prometheus understands what the dashboard asks.
func TestPromtoolUnderstandsTheDashboard(t *testing.T) {
	t.Parallel()
	type rule struct {
		Record string `yaml:"record"`
		Expr   string `yaml:"expr"`
	}
	var rules []rule
	for _, expr := range expressions(t) {
		rules = append(rules, rule{fmt.Sprintf("asked:%d", len(rules)), expr})
	}
	text, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, nil, "check", "rules", file)
}
