//go:build race

package mailbox

func init() { raceDetector = true }
