package node

import (
	"context"

	"github.com/fenfa/fenfa/internal/server"
	"github.com/fenfa/fenfa/internal/webhook"
)

// openWebhooks makes what pushes tasks to URLs. Queues come with the partitions.
func (n *Node) openWebhooks(context.Context) error {
	allow, err := n.opts.Config.Webhook.Prefixes()
	if err != nil {
		return err
	}
	n.webhooks, err = webhook.New(webhook.Config{
		Workers: n.dispatch, Form: server.WebhookForm{}, Allow: allow, Agent: "fenfa/" + n.opts.Build.Version,
		Clock: n.opts.Clock, Logger: n.log, Registerer: n.registry,
	})
	return err
}
