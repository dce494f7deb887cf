//go:build race

package inputs

func init() { raceDetector = true }
