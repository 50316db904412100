package report

import (
	"bytes"
	_ "embed"
	"html/template"
	"time"
)

//go:embed report.html
var reportHTML string

var reportTemplate = template.Must(template.New("report").Parse(reportHTML))

// Page is a document with plots: without scripts or outside resources. Its texts may be anything.
type Page struct {
	Title   string
	Made    time.Time
	Verdict []string // the most important figures
	Bad     bool     // they are bad ones
	Plots   []Plot
	Table   string // all figures, as lines
}

// Plot is one picture of a Page: see Bars.
type Plot struct {
	Title, Note string
	SVG         template.HTML // made by svg.go, which escapes every text, as Legend is
	Legend      template.HTML
	Wide        bool
}

// Day is when the page was made.
func (p Page) Day() string { return p.Made.UTC().Format("2006-01-02 15:04 UTC") }

// HTML makes the document.
func (p Page) HTML() ([]byte, error) {
	var out bytes.Buffer
	err := reportTemplate.Execute(&out, p)
	return out.Bytes(), err
}

// Write writes the document to path, whole or not at all.
func (p Page) Write(path string) error {
	page, err := p.HTML()
	if err != nil {
		return err
	}
	return WriteWhole(path, page)
}
