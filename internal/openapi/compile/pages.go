package compile

// pages adds the node's own pages, which no method is behind.
func (b *builder) pages() {
	const tag = "Node"
	page := func(path, id, summary string, responses map[string]*Response) {
		b.doc.Paths[path] = map[string]*Operation{"get": {
			OperationID: id, Tags: []string{tag}, Summary: summary, Responses: responses,
		}}
	}
	b.doc.Tags = append(b.doc.Tags, Tag{Name: tag, Description: "The node itself: health, metrics, and this document."})
	b.schemas.known["Alive"] = &Schema{Type: "object", Required: []string{"status"}, Properties: map[string]*Schema{"status": {Type: "string"}}}
	b.schemas.known["Ready"] = &Schema{Type: "object", Required: []string{"ready", "problems"}, Properties: map[string]*Schema{
		"ready":    {Type: "boolean"},
		"problems": {Type: "array", Description: "Why it is not.", Items: &Schema{Type: "string"}},
	}}
	page("/healthz", "nodeAlive", "The process lives and answers", map[string]*Response{
		"200": {Description: "It does.", Content: of(refTo("Alive"))},
	})
	page("/readyz", "nodeReady", "Whether the node can do its work, and why not", map[string]*Response{
		"200": {Description: "It can.", Content: of(refTo("Ready"))},
		"503": {Description: "It cannot.", Content: of(refTo("Ready"))},
	})
	page("/metrics", "nodeMetrics", "Metrics in the text format of Prometheus", map[string]*Response{
		"200": {Description: "All of them.", Content: map[string]Media{"text/plain": {Schema: &Schema{Type: "string"}}}},
		"503": {Description: "Too many ask at a time.", Content: map[string]Media{"text/plain": {Schema: &Schema{Type: "string"}}}},
	})
	page("/openapi.json", "nodeOpenapi", "This document", map[string]*Response{
		"200": {Description: "The document.", Content: of(&Schema{Type: "object"})},
	})
}
