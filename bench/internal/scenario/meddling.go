package scenario

import (
	"time"

	"github.com/memherd/memherd/bench/internal/proxy"
)

// meddling are the faults of single replies, of one node.
func meddling() []Scenario {
	own := func() []Figure {
		return figures(Figure{Name: fErrors, Format: "%.3f", Bound: most(0.1)}, Figure{Name: fLater, Format: "%.3f", Bound: most(0.1)}, Figure{Name: fKept, Format: "%.0f"}, Figure{Name: fP99, Format: "%.2f"})
	}
	return []Scenario{
		{Name: "late", Title: "5 % of the replies of one of three nodes come 150 ms later", Rival: true, Figures: own(),
			play: outage(proxy.Plan{LateEvery: 20, LateBy: 150 * time.Millisecond}, false)},
		{Name: "cut", Title: "2 % of the replies of one of three nodes are cut half way", Rival: true, Figures: own(),
			play: outage(proxy.Plan{CutEvery: 50}, false)},
		{Name: "stray", Title: "one in 1,000 replies of one of three nodes is followed by another one", Rival: true, Figures: own(),
			play: outage(proxy.Plan{StrayEvery: 1000}, false)},
	}
}
