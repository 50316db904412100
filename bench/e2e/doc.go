// Package e2e looks at memherd's pages in a browser: its tests drive a headless Chromium. It is a
// module of its own, so that nobody else inherits what it takes to do that.
package e2e
