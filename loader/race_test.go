//go:build race

package loader_test

const raceDetector = true
