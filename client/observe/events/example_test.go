package events_test

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/memherd/memherd/client"
	"github.com/memherd/memherd/client/observe/events"
	"github.com/memherd/memherd/ring"
)

func ExampleAttach() {
	log := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{} // for the sake of the example
		}
		return a
	}}))
	cfg := client.Config{Nodes: ring.Addrs("10.0.0.1:11211"), Announce: client.NoAnnounce}
	events.Attach(&cfg, log)
	c, err := client.New(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	cfg.Hooks.DebtOverflow("10.0.0.1") // as the client calls it
	// Output: level=WARN msg="node is owed more than can be remembered, and not read until Readmit" node=10.0.0.1
}
