package browser

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"bouncefeed/internal/e2e/e2etest"
)

// chromium is a browser without a window, of a prepared Debian, asked over pipes by its DevTools protocol: a JSON object with a
// zero byte behind it each way.
type chromium struct {
	write *os.File
	read  *bufio.Reader

	mu      sync.Mutex
	last    int
	waiting map[int]chan message
	events  map[string]chan bool // by session and method: it happened
	said    []string             // what went wrong in a page, as its console has it
	ended   error
}

type message struct {
	ID      int             `json:"id,omitempty"`
	Session string          `json:"sessionId,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  any             `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
}

func (c *chromium) listen() {
	for {
		text, err := c.read.ReadBytes(0)
		var m message
		if err == nil {
			err = json.Unmarshal(text[:len(text)-1], &m)
		}
		c.mu.Lock()
		switch {
		case err != nil:
			c.ended = errors.Join(errors.New("the browser is gone"), err)
			for _, w := range c.waiting {
				close(w)
			}
			c.mu.Unlock()
			return
		case m.ID != 0 && c.waiting[m.ID] != nil:
			c.waiting[m.ID] <- m
			delete(c.waiting, m.ID)
		case m.Method == "Log.entryAdded" || m.Method == "Runtime.exceptionThrown":
			c.said = append(c.said, string(text))
		case m.Method != "":
			select {
			case c.event(m.Session + m.Method) <- true:
			default:
			}
		}
		c.mu.Unlock()
	}
}

// event is where an event of a kind is told; by the holder of the lock.
func (c *chromium) event(name string) chan bool {
	if c.events[name] == nil {
		c.events[name] = make(chan bool, 1)
	}
	return c.events[name]
}

// ask calls a method and decodes its result.
func (c *chromium) ask(session, method string, params, result any) error {
	c.mu.Lock()
	if c.ended != nil {
		c.mu.Unlock()
		return c.ended
	}
	c.last++
	answer := make(chan message, 1)
	c.waiting[c.last] = answer
	text, err := json.Marshal(message{ID: c.last, Session: session, Method: method, Params: params})
	if err == nil {
		_, err = c.write.Write(append(text, 0))
	}
	c.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case m, ok := <-answer:
		switch {
		case !ok:
			return c.ended
		case m.Error != nil:
			return fmt.Errorf("%s: %s", method, m.Error.Message)
		case result != nil:
			return json.Unmarshal(m.Result, result)
		}
		return nil
	case <-time.After(e2etest.Patience):
		return fmt.Errorf("%s: no answer within %v", method, e2etest.Patience)
	}
}

// tab is one page that is open.
type tab struct {
	*chromium
	t       *testing.T
	session string
}

func (c *chromium) open(t *testing.T) *tab {
	t.Helper()
	var target struct {
		ID string `json:"targetId"`
	}
	var attached struct {
		Session string `json:"sessionId"`
	}
	err := c.ask("", "Target.createTarget", args{"url": "about:blank"}, &target)
	if err == nil {
		err = c.ask("", "Target.attachToTarget", args{"targetId": target.ID, "flatten": true}, &attached)
	}
	if err != nil {
		t.Fatal(err)
	}
	b := &tab{c, t, attached.Session}
	b.do("Page.enable", nil)
	b.do("Log.enable", nil)
	t.Cleanup(func() { c.ask("", "Target.closeTarget", args{"targetId": target.ID}, nil) })
	return b
}

type args map[string]any

func (b *tab) do(method string, params args) {
	b.t.Helper()
	if err := b.ask(b.session, method, params, nil); err != nil {
		b.t.Fatal(err)
	}
}

// look makes the window so wide, in light, dark or forced colours, for the screen or print.
func (b *tab) look(width, height int, scheme, media string) {
	b.do("Emulation.setDeviceMetricsOverride", args{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500})
	forced := "none"
	if scheme == "forced" {
		scheme, forced = "dark", "active"
	}
	b.do("Emulation.setEmulatedMedia", args{"media": media, "features": []args{{"name": "prefers-color-scheme", "value": scheme}, {"name": "forced-colors", "value": forced}}})
}

// visit opens a page and waits until it is there whole.
func (b *tab) visit(url string) {
	b.t.Helper()
	b.during(func() { b.do("Page.navigate", args{"url": url}) })
}

// during waits for the page that act leads to.
func (b *tab) during(act func()) {
	b.t.Helper()
	b.mu.Lock()
	loaded := b.event(b.session + "Page.loadEventFired")
	select {
	case <-loaded: // an earlier one
	default:
	}
	b.mu.Unlock()
	act()
	select {
	case <-loaded:
	case <-time.After(e2etest.Patience):
		b.t.Fatal("the page does not load")
	}
}

// run evaluates an expression in the page; what the page may not run by its policy, the browser may for its master.
func (b *tab) run(expression string, result any) {
	b.t.Helper()
	var said struct {
		Result struct {
			Value json.RawMessage `json:"value"`
		} `json:"result"`
		Exception *struct {
			Text      string `json:"text"`
			Exception struct {
				Description string `json:"description"`
			} `json:"exception"`
		} `json:"exceptionDetails"`
	}
	if err := b.ask(b.session, "Runtime.evaluate", args{"expression": expression, "awaitPromise": true, "returnByValue": true}, &said); err != nil {
		b.t.Fatal(err)
	}
	if said.Exception != nil {
		b.t.Fatalf("%.100s: %s %s", expression, said.Exception.Text, said.Exception.Exception.Description)
	}
	if result != nil {
		if err := json.Unmarshal(said.Result.Value, result); err != nil {
			b.t.Fatalf("%.100s: %v in %s", expression, err, said.Result.Value)
		}
	}
}

// picture keeps what is seen of the whole page, where pictures are asked for.
func (b *tab) picture(name string) {
	b.t.Helper()
	dir := os.Getenv(picturesEnv)
	if dir == "" {
		return
	}
	var shot struct {
		Data []byte `json:"data"`
	}
	if err := b.ask(b.session, "Page.captureScreenshot", args{"format": "png", "captureBeyondViewport": true}, &shot); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/"+name+".png", shot.Data, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// key presses a key.
func (b *tab) key(name string, code int) {
	b.do("Input.dispatchKeyEvent", args{"type": "rawKeyDown", "key": name, "code": name, "windowsVirtualKeyCode": code})
	if name == "Enter" {
		b.do("Input.dispatchKeyEvent", args{"type": "char", "key": name, "text": "\r"})
	}
	b.do("Input.dispatchKeyEvent", args{"type": "keyUp", "key": name, "code": name, "windowsVirtualKeyCode": code})
}

// errors are what the console has said since they were last asked for: a script that the policy stopped, a file that is missing.
func (b *tab) errors() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	said := b.said
	b.said = nil
	return said
}
