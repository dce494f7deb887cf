package config

import (
	"os"
	"strings"
	"testing"
	"time"
)

type module struct {
	Path     string   `yaml:"path"`
	Poll     Duration `yaml:"poll"`
	Max      Size     `yaml:"max"`
	Password Secret   `yaml:"password"`
	TLS      struct {
		Cert string `yaml:"cert"`
	} `yaml:"tls"`
	Parser Section `yaml:"parser"`
}

func TestEveryMistakeAtOnceWithItsPlace(t *testing.T) {
	const file = `inputs:
  postfix: {type: logfile, path: /x}
  "bad name": {type: logfile}
  none: {path: /y}
quue:
  path: x
queue:
  max_size: 10
  retain: 3 weeks
  retain: 2d
log: {level: loud}
`
	_, err := Parse("b.yaml", []byte(file))
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		`b.yaml:3:15: "bad name" is no usable name`,
		`b.yaml:4:9: inputs.none lacks its type`,
		`b.yaml:5:1: unknown key "quue"; did you mean "queue"?`,
		`b.yaml:8:13: queue.max_size: "10" is no size`,
		`b.yaml:9:11: queue.retain: "3 weeks" is no duration`,
		`b.yaml:10:3: queue.retain stands twice (first on line 9)`,
		`b.yaml:11:14: log.level: "loud" is none of`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("missing %q in\n%v", want, err)
		}
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != 7 {
		t.Errorf("%d mistakes, want 7:\n%v", n, err)
	}
}

func TestDocument(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"empty":    {"", "empty"},
		"second":   {"log: {level: info}\n---\nlog: {level: info}\n", "second document"},
		"syntax":   {"log: [\n", "b.yaml:1:6: the [ that opens here is not closed"},
		"scalar":   {"hello", "takes keys and values, not one value"},
		"merge":    {"a: &a {level: info}\nlog: {<<: *a}\n", "merge keys"},
		"billions": {bomb, "takes one value, not a list"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("b.yaml", []byte(c.in))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
		})
	}
}

// bomb is lists of aliases of lists: 9^7 values if all were followed.
const bomb = `host: x
rules:
- text:
  - &a [x, x, x, x, x, x, x, x, x]
  - &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]
  - &c [*b, *b, *b, *b, *b, *b, *b, *b, *b]
  - &d [*c, *c, *c, *c, *c, *c, *c, *c, *c]
  - &e [*d, *d, *d, *d, *d, *d, *d, *d, *d]
  - &f [*e, *e, *e, *e, *e, *e, *e, *e, *e]
  - &g [*f, *f, *f, *f, *f, *f, *f, *f, *f]
`

func section(t *testing.T, yaml string) Section {
	t.Helper()
	c, err := Parse("b.yaml", []byte("inputs:\n  a:\n    type: x\n"+yaml))
	if err != nil {
		t.Fatal(err)
	}
	return c.Inputs[0].Value
}

func TestSection(t *testing.T) {
	var m module
	s := section(t, "    path: /p\n    poll: 250ms\n    max: 1.5KiB\n    tls: {cert: c}\n    parser: postfix\n")
	if err := s.Decode(&m); err != nil {
		t.Fatal(err)
	}
	if m.Path != "/p" || m.Poll.Std() != 250*time.Millisecond || m.Max != 1536 || m.TLS.Cert != "c" || m.Parser.Type != "postfix" {
		t.Fatalf("%+v", m)
	}
	err := section(t, "    pth: /p\n    tls: {crt: c}\n    password: hunter2\n    password_env: X\n    password_file: Y\n").Decode(&m)
	for _, want := range []string{`b.yaml:4:5: unknown key "inputs.a.pth"; did you mean "path"?`, `unknown key "inputs.a.tls.crt"`, "may not stand in the configuration", "both give password"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("missing %q in %v", want, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Error("the secret is in the error")
	}
}

func TestTexts(t *testing.T) {
	s := section(t, "    parser: {type: journald, parsers: [postfix, {type: exim, mynetworks: 10.0.0.0/8}]}\n    mynetworks: [a, b]\n")
	for key, want := range map[string]string{"parsers": "postfix exim", "mynetworks": "10.0.0.0/8 a b", "type": "x journald exim", "none": ""} {
		if got := strings.Join(s.Texts(key), " "); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
}

func TestSecretIsReadAnewAndNeverPrinted(t *testing.T) {
	path := t.TempDir() + "/token"
	s := Secret{how: "file", where: path}
	if _, err := s.Read(); err == nil {
		t.Error("a missing file was read")
	}
	for _, v := range []string{"one", "two"} {
		if err := os.WriteFile(path, []byte(v+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Read(); err != nil || got != v {
			t.Errorf("got %q, %v", got, err)
		}
	}
	t.Setenv("CREDENTIALS_DIRECTORY", t.TempDir())
	if _, err := (Secret{how: "credential", where: "token"}).Read(); err == nil || strings.Contains(err.Error(), "two") {
		t.Errorf("got %v", err)
	}
}

func TestKeysNamesEveryKey(t *testing.T) {
	got := strings.Join(Keys(&module{}), " ")
	if want := "max parser password_file path poll tls.cert"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
