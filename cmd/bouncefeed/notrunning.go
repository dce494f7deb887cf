package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// shippedExample is the configuration as the package has it, with which the unit is not started.
var shippedExample = "/usr/share/bouncefeed/config.example.yaml"

// whyNotRunning says what keeps the service from running, as far as the configuration or systemd can tell; "": nothing.
func whyNotRunning(ctx context.Context, configPath string) string {
	own, err := os.ReadFile(configPath)
	if example, eerr := os.ReadFile(shippedExample); err == nil && eerr == nil && bytes.Equal(own, example) {
		return configPath + " is still the example, so the unit was skipped: edit it ('bouncefeed init' drafts one), then start it"
	}
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "systemctl", "show", "bouncefeed.service", "--property=LoadState,ActiveState,SubState,Result,ExecMainStatus,ConditionResult").Output()
	if err != nil {
		return ""
	}
	unit := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		unit[name] = value
	}
	return unitSays(unit)
}

// unitSays puts into words what `systemctl show` tells of a unit.
func unitSays(unit map[string]string) string {
	switch {
	case unit["LoadState"] == "not-found":
		return "there is no bouncefeed.service: run it with 'bouncefeed run'"
	case unit["LoadState"] == "masked":
		return "the unit is masked: systemctl unmask bouncefeed"
	case unit["ExecMainStatus"] == fmt.Sprint(exitConfig):
		return "it ended because of the configuration: 'bouncefeed check' names the mistakes"
	case unit["Result"] == "exec-condition":
		return "the unit was skipped: its configuration is still the example"
	case unit["ActiveState"] == "activating":
		return "systemd is starting it: 'journalctl -u bouncefeed -n 20' says how far it is"
	case unit["ActiveState"] == "failed":
		return "it failed (" + unit["Result"] + "): 'journalctl -u bouncefeed -n 20' says why"
	case unit["ActiveState"] == "active":
		return "the unit is active, but nobody answers there: is control: in the configuration another one than it was started with?"
	}
	return ""
}
