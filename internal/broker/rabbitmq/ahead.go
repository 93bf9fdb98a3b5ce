package rabbitmq

// leastAhead is how many messages a reader receives ahead at least, however large.
const leastAhead = 16

// ahead bounds what a reader receives before it is asked. The protocol counts
// messages only, so the number follows from the size that they turn out to have.
type ahead struct {
	prefetch int     // of the subscription
	bytes    int     // received and not handed out
	mean     float64 // size of a message
}

// received takes a message in, which has made ready messages that are not handed
// out, behind given ones that are and count as well. It reports whether the
// prefetch was changed, for a new subscription.
func (a *ahead) received(size, ready, given int, cfg *Config) (changed bool) {
	const weight = 1.0 / 32
	if a.mean == 0 {
		a.mean = float64(size)
	}
	a.mean += (float64(size) - a.mean) * weight
	a.bytes += size
	fits := min(cfg.Prefetch, given+max(leastAhead, int(float64(cfg.PrefetchBytes)/max(a.mean, 1))))
	tooMuch := a.bytes > cfg.PrefetchBytes && fits < a.prefetch/2
	tooLittle := ready == 1 && fits >= 4*a.prefetch
	if tooMuch || tooLittle {
		a.prefetch = fits
		return true
	}
	return false
}
