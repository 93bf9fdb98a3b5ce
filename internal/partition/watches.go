package partition

import (
	"context"

	"github.com/fenfa/fenfa/internal/watch"
)

// Watch opens a stream of changes of records. Whoever gets it closes it.
func (e *Engine) Watch(ctx context.Context, req *watch.Request) (*watch.Watch, error) {
	return e.watches.Open(ctx, req)
}
