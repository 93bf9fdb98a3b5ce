package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/fenfa/fenfa"
	bridge "github.com/fenfa/fenfa/internal/bridge/rabbitmq"
	broker "github.com/fenfa/fenfa/internal/broker/rabbitmq"
)

// envRabbitMQ holds an address with its password, which whoever may list processes
// would see in a flag.
const envRabbitMQ = "FENFA_RABBITMQ_URL"

func newBridge() *cobra.Command {
	return group("bridge", "Move messages between other systems and fenfa", "", newBridgeRabbitMQ())
}

// bridgeFlags says what is moved.
type bridgeFlags struct {
	url, tlsCA, tlsCert, tlsKey string
	drain                       time.Duration

	in  bridge.InConfig
	out bridge.OutConfig
}

func newBridgeRabbitMQ() *cobra.Command {
	b := &bridgeFlags{}
	cmd := &cobra.Command{
		Use: "rabbitmq --url URL (--queue Q --to QUEUE | --from QUEUE)", Short: "Move messages of a RabbitMQ queue into fenfa, or tasks to RabbitMQ",
		Long: `Move the messages of an existing RabbitMQ queue (classic or quorum) into a queue of fenfa,
or with --from publish the tasks of a queue of fenfa to RabbitMQ.

With --queue a message is acked only when fenfa has confirmed its task, or knows it
already: the ID of a task is derived from the message's message-id, or from its content
(--id). Messages of one key keep their order, across reconnects and several bridges if the
queue has x-single-active-consumer. Headers become headers; properties become headers that
begin with amqp-, like amqp-correlation-id; an expiration counts from the timestamp. While
fenfa or RabbitMQ is away the bridge waits and tries again. What fenfa refuses for good,
because it is too large for instance, stops the bridge, or is rejected or written to a file
(--on-refused).

With --from each task becomes a persistent message, and is done when RabbitMQ has confirmed
it; its message-id is the task's ID. A message that no queue takes is a failed attempt.
With --reply it goes to the queue that the header amqp-reply-to names.

Both ways are at least once. SIGTERM or SIGINT finishes what is under way and ends with
exit code 0.`,
		Example: `  fenfa bridge rabbitmq --url amqp://localhost --queue orders --to orders --key-header customer
  fenfa bridge rabbitmq --queue orders --to orders --key-json customer.id --until-empty --json
  fenfa bridge rabbitmq --from results --exchange results --routing-key done
  fenfa bridge rabbitmq --from results --reply`,
		Args: exactly(),
	}
	b.flags(cmd) // First: its TLS flags are about RabbitMQ.
	to, out := targetFlags(cmd), outputFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		if err := b.check(cmd); err != nil {
			return err
		}
		server, err := b.server()
		if err != nil {
			return err
		}
		client, err := to.dial()
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, client.Close()) }()
		if err := b.checkTarget(cmd.Context(), to, client); err != nil {
			return err
		}
		if b.out.From != "" {
			return b.runOut(cmd, out, server, client)
		}
		return b.runIn(cmd, out, server, client)
	}
	return cmd
}

func (b *bridgeFlags) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&b.url, "url", "", "address of RabbitMQ: amqp://user:password@host:5672/vhost, amqps:// with TLS; environment "+envRabbitMQ+" (needed)")
	f.StringVar(&b.tlsCA, "tls-ca", "", "file with the authorities to trust (default: the system's)")
	f.StringVar(&b.tlsCert, "tls-cert", "", "file with the certificate to show; without a user in the address it is the login")
	f.StringVar(&b.tlsKey, "tls-key", "", "file with the key of the certificate")
	f.DurationVar(&b.drain, "drain-timeout", bridge.DefaultDrainTimeout, "how long what is under way may take after SIGTERM")

	in := &b.in
	f.StringVar(&in.Queue, "queue", "", "queue of RabbitMQ to move messages of")
	f.StringVar(&in.To, "to", "", "queue of fenfa to submit to")
	f.StringVar(&in.Key.Header, "key-header", "", "header that is the task's key")
	f.BoolVar(&in.Key.Routing, "key-routing", false, "the routing key is the task's key")
	f.StringVar(&in.Key.JSON, "key-json", "", "member of the JSON body that is the task's key; dots lead inwards, as in customer.id")
	f.StringVar((*string)(&in.ID), "id", string(bridge.IDAuto), "what the task's ID is made of: message-id, content (equal messages are one task), random (a message that is delivered twice is two tasks), or auto (message-id where there is one, else content)")
	f.StringVar(&in.TypeHeader, "type-header", "", "header that is the task's type (default: the type property)")
	f.IntVar(&in.Prefetch, "prefetch", bridge.DefaultPrefetch, "how many messages are held unacked at most")
	f.Int64Var(&in.Limit, "limit", 0, "end after so many messages (default: no limit)")
	f.BoolVar(&in.UntilEmpty, "until-empty", false, "end when the queue is empty")
	f.StringVar((*string)(&in.Refused), "on-refused", string(bridge.RefusedStop), "what to do with a message that fenfa refuses for good: stop, reject (to the queue's dead-letter exchange; without one RabbitMQ drops it) or file")
	f.StringVar(&in.RefusedFile, "refused-file", "", "NDJSON file to which --on-refused file appends")

	out := &b.out
	f.StringVar(&out.From, "from", "", "queue of fenfa whose tasks to publish")
	f.StringVar(&out.Route.Exchange, "exchange", "", "exchange to publish to (default: the default exchange, where the routing key names a queue)")
	f.StringVar(&out.Route.Key, "routing-key", "", "routing key of all messages")
	f.StringVar(&out.Route.Header, "routing-header", "", "header of the task that is the routing key")
	f.BoolVar(&out.Route.Reply, "reply", false, "publish to the queue that the task's header amqp-reply-to names")
	f.BoolVar(&out.Mandatory, "mandatory", true, "a message that no queue takes is a failed attempt; else RabbitMQ drops it")
	f.IntVar(&out.Concurrency, "concurrency", bridge.DefaultConcurrency, "messages that wait for their confirm at the same time")
}

// Flags of one direction only.
func inFlags() []string {
	return []string{"to", "key-header", "key-routing", "key-json", "id", "type-header", "prefetch", "limit", "until-empty", "on-refused", "refused-file"}
}

func outFlags() []string {
	return []string{"exchange", "routing-key", "routing-header", "reply", "mandatory", "concurrency"}
}

// check refuses flags that contradict each other.
func (b *bridgeFlags) check(cmd *cobra.Command) error {
	switch {
	case b.in.Queue == "" && b.out.From == "":
		return usagef("say what to move").withHint("--queue Q --to QUEUE into fenfa, or --from QUEUE out of it")
	case b.in.Queue != "" && b.out.From != "":
		return usagef("--queue and --from are two directions").withHint("run a bridge for each")
	case b.in.Queue != "" && b.in.To == "":
		return usagef("say the queue of fenfa").withHint("--to QUEUE")
	}
	others, way := outFlags(), "--from"
	if b.out.From != "" {
		others, way = inFlags(), "--queue"
	}
	for _, name := range others {
		if cmd.Flags().Changed(name) {
			return usagef("--%s is for the way that %s goes", name, way)
		}
	}
	if b.drain <= 0 {
		return usagef("--drain-timeout is %v: want more than 0", b.drain)
	}
	return nil
}

// server is how RabbitMQ is reached. Errors never hold the address, which may have
// a password in it.
func (b *bridgeFlags) server() (broker.Config, error) {
	url := b.url
	if url == "" {
		url = os.Getenv(envRabbitMQ)
	}
	if url == "" {
		return broker.Config{}, usagef("say where RabbitMQ is").withHint("--url amqp://user:password@host:5672/vhost, or %s", envRabbitMQ)
	}
	cfg, err := broker.ParseURL(url)
	if err != nil {
		return broker.Config{}, usagef("--url: %w", err)
	}
	if cfg.User == "" && cfg.TLS == nil {
		cfg.User, cfg.Password = "guest", "guest" // As every client of RabbitMQ has it.
	}
	if b.tlsCA == "" && b.tlsCert == "" && b.tlsKey == "" {
		return cfg, nil
	}
	if cfg.TLS == nil {
		return broker.Config{}, usagef("--tls-ca, --tls-cert and --tls-key are for an address that begins with amqps://")
	}
	return cfg, b.trust(cfg.TLS)
}

// trust reads the files of TLS.
func (b *bridgeFlags) trust(secure *tls.Config) error {
	if (b.tlsCert == "") != (b.tlsKey == "") {
		return usagef("--tls-cert and --tls-key go together")
	}
	if b.tlsCA != "" {
		pem, err := os.ReadFile(b.tlsCA)
		if err != nil {
			return usagef("--tls-ca: %w", err)
		}
		secure.RootCAs = x509.NewCertPool()
		if !secure.RootCAs.AppendCertsFromPEM(pem) {
			return usagef("--tls-ca: there is no certificate in %s", b.tlsCA)
		}
	}
	if b.tlsCert != "" {
		pair, err := tls.LoadX509KeyPair(b.tlsCert, b.tlsKey)
		if err != nil {
			return usagef("--tls-cert: %w", err)
		}
		secure.Certificates = []tls.Certificate{pair}
	}
	return nil
}

// checkTarget looks for the queue of fenfa, so that its name is not found to be
// wrong by the first message. A node that is away is waited for later.
func (b *bridgeFlags) checkTarget(ctx context.Context, to *target, client *fenfa.Client) error {
	name := b.in.To + b.out.From
	ctx, cancel := context.WithTimeout(ctx, to.timeout)
	defer cancel()
	_, err := client.DescribeQueue(ctx, name)
	if errors.Is(err, fenfa.ErrNotFound) || fenfa.CodeOf(err) == fenfa.CodeInvalidArgument {
		return hinted(err, listQueues, fenfa.CodeNotFound)
	}
	return nil
}

// inView is what moving messages into fenfa came to.
type inView struct {
	Taken      int64   `json:"taken"`     // deliveries
	Confirmed  int64   `json:"confirmed"` // new tasks
	Duplicate  int64   `json:"duplicate"` // there already
	Equal      int64   `json:"equal"`     // duplicates that RabbitMQ delivered for the first time
	Refused    int64   `json:"refused"`
	WithoutKey int64   `json:"without_key"`
	Reconnects int64   `json:"reconnects"`
	Seconds    float64 `json:"seconds"`
	Rate       float64 `json:"rate"` // confirmed and duplicate a second
}

func (b *bridgeFlags) runIn(cmd *cobra.Command, out *output, server broker.Config, client *fenfa.Client) error {
	b.in.Server, b.in.Client, b.in.DrainTimeout, b.in.Logger = server, client, b.drain, bridgeLogger(cmd, out)
	in, err := bridge.NewIn(b.in)
	if err != nil {
		return failuref(exitUsage, "%w", err)
	}
	began := time.Now()
	look := func() inView {
		c, seconds := in.Counts(), time.Since(began).Seconds()
		return inView{
			Taken: c.Taken, Confirmed: c.Confirmed, Duplicate: c.Duplicate, Equal: c.Equal, Refused: c.Refused, WithoutKey: c.WithoutKey,
			Reconnects: c.Reconnects, Seconds: seconds, Rate: float64(c.Confirmed+c.Duplicate) / max(seconds, 0.001),
		}
	}
	cause := withProgress(cmd, in.Run, func() string {
		v := look()
		return fmt.Sprintf("%d confirmed, %d there already, %d refused", v.Confirmed, v.Duplicate, v.Refused)
	})
	v := look()
	written := out.write(cmd, v, func(w io.Writer) {
		fmt.Fprintf(w, "%d taken: %d confirmed, %d there already, %d refused; %.1f s, %.0f/s\n", v.Taken, v.Confirmed, v.Duplicate, v.Refused, v.Seconds, v.Rate)
		if v.Equal > 0 {
			fmt.Fprintf(w, "%d of those that were there already came for the first time: messages without message-id that are equal are one task, see --id\n", v.Equal)
		}
		if v.WithoutKey > 0 {
			fmt.Fprintf(w, "%d had no key, and their tasks have no order\n", v.WithoutKey)
		}
	})
	return errors.Join(b.verdict(cause), written)
}

// outView is what publishing tasks came to.
type outView struct {
	Published  int64   `json:"published"`
	Unroutable int64   `json:"unroutable"` // failed attempts
	Failed     int64   `json:"failed"`     // failed attempts
	GivenBack  int64   `json:"given_back"` // while RabbitMQ was away
	Rejected   int64   `json:"rejected"`   // dead letters
	Reconnects int64   `json:"reconnects"`
	Seconds    float64 `json:"seconds"`
	Rate       float64 `json:"rate"` // published a second
}

func (b *bridgeFlags) runOut(cmd *cobra.Command, out *output, server broker.Config, client *fenfa.Client) error {
	b.out.Server, b.out.Client, b.out.DrainTimeout = server, client, b.drain
	b.out.Logger, b.out.OnEvent = bridgeLogger(cmd, out), tell(cmd)
	run, err := bridge.NewOut(b.out)
	if err != nil {
		return failuref(exitUsage, "%w", err)
	}
	began := time.Now()
	cause := withProgress(cmd, run.Run, func() string {
		c := run.Counts()
		return fmt.Sprintf("%d published, %d attempts failed", c.Published, c.Unroutable+c.Failed)
	})
	c, seconds := run.Counts(), time.Since(began).Seconds()
	v := outView{
		Published: c.Published, Unroutable: c.Unroutable, Failed: c.Failed, GivenBack: c.GivenBack, Rejected: c.Rejected, Reconnects: c.Reconnects,
		Seconds: seconds, Rate: float64(c.Published) / max(seconds, 0.001),
	}
	written := out.write(cmd, v, func(w io.Writer) {
		fmt.Fprintf(w, "%d published; failed attempts: %d unroutable, %d others; %d given back while RabbitMQ was away; %d rejected; %.1f s, %.0f/s\n",
			v.Published, v.Unroutable, v.Failed, v.GivenBack, v.Rejected, v.Seconds, v.Rate)
	})
	return errors.Join(b.verdict(cause), written)
}

// verdict is the error of the whole run.
func (b *bridgeFlags) verdict(cause error) error {
	switch {
	case errors.Is(cause, bridge.ErrRefused):
		return failuref(exitRefused, "%w", cause).withHint("--on-refused reject or --on-refused file goes on without such messages")
	case errors.Is(cause, bridge.ErrStream):
		return failuref(exitRefused, "%w", cause)
	case errors.Is(cause, bridge.ErrNoQueue), errors.Is(cause, bridge.ErrNoExchange):
		return failuref(exitNotFound, "%w", cause).withHint("the bridge declares nothing: check the name, and the vhost in --url")
	case errors.Is(cause, broker.ErrLogin):
		return failuref(exitRefused, "%w", cause)
	}
	return cause
}

// bridgeLogger tells what happens on standard error.
func bridgeLogger(cmd *cobra.Command, out *output) *slog.Logger {
	if out.json {
		return slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), nil))
	}
	return slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
}

// withProgress runs, and shows on a terminal how far it is. A signal is no error:
// the run finishes what is under way.
func withProgress(cmd *cobra.Command, run func(context.Context) error, line func() string) error {
	if !isTerminal(cmd.ErrOrStderr()) {
		return run(cmd.Context())
	}
	done, drawn := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(drawn)
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				fmt.Fprintf(cmd.ErrOrStderr(), "\r\x1b[K%s\r", line())
			case <-done:
				fmt.Fprint(cmd.ErrOrStderr(), "\r\x1b[K")
				return
			}
		}
	}()
	err := run(cmd.Context())
	close(done)
	<-drawn
	return err
}
