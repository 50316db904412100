package report

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestStaleBuckets(t *testing.T) {
	var c StaleCount
	before := c.Read()
	for _, age := range []time.Duration{0, time.Millisecond - 1, time.Millisecond, 49 * time.Millisecond, 50 * time.Millisecond, time.Hour} {
		c.Add(age)
	}
	b := StaleBuckets(before, c.Read())
	assert.Equal(t, StaleBucket{0, 1, 2}, b[0])
	assert.Equal(t, StaleBucket{1, 2, 1}, b[1])
	assert.Equal(t, StaleBucket{40, 50, 1}, b[len(b)-2])
	assert.Equal(t, StaleBucket{50, 0, 2}, b[len(b)-1])
	assert.Equal(t, "<50 ms", b[len(b)-2].name())
	assert.Equal(t, "≥50 ms", b[len(b)-1].name())
	assert.Equal(t, b, StaleBuckets(before, c.Read()))
	for _, b := range StaleBuckets(c.Read(), c.Read()) {
		assert.Zero(t, b.Reads)
	}
}
