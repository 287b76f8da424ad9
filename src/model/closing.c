/* SPDX-License-Identifier: MIT */
/* Tried on Linux 6.18, on loopback and veth, each end first, each end active, IPv4 and IPv6:
 *
 * bytes_acked + send_queue counts the sequence numbers given out: SYN (active end only), payload
 * and FIN, for idiag_wqueue is write_seq - snd_una. What is left when the payload sent and what
 * waits unsent are taken off is [we sent the SYN] + [we sent a FIN], even with data in flight at a
 * reset: 2 the active end, 0 the passive one without FIN (reset, or closed with data unread). 1 is
 * the passive end closed in order, or the active one without FIN. tcpi_delivered decides it: it is
 * 1 after the handshake at both ends, and grows by each data segment acknowledged and by a FIN that
 * went alone, while data_segs_out has all data segments and those sent again: a difference of 2 or
 * more proves a FIN of ours. A FIN that went with the last data leaves it open, until a TIME_WAIT
 * of ours is seen. Without a data segment there was none to go with: 1 with one delivered is the
 * active end without FIN.
 *
 * A socket that was given up (keepalive, user timeout, too many retransmissions) has the counters
 * of one that was reset, but for tcpi_probes or tcpi_retransmits, which stay as they were;
 * tcpi_total_retrans is 0 where the segments did not even leave the host.
 *
 * bytes_received has the peer's FIN in it if the full socket got it, not if a FIN_WAIT2 mini-socket
 * did. recv_queue (rcv_nxt - copied_seq) is 1 where it got the FIN and nobody read the end of file:
 * what else was unread at close() would have made an abort of it, without our FIN. So it is with
 * close() answered by FIN and ACK in one (Linux does so for 40 ms), or with the peer first and
 * close() without reading on. It is 0 where the end of file was read (peer first, or shutdown()
 * first), but also where close() was answered by an ACK alone: those two the event can't tell. */
#include "connhist/model/closing.h"

/* A FIN of ours that was acknowledged by itself. */
static bool fin_went_alone(const struct closing_counters *counters)
{
    return counters->delivered >= 2 && counters->delivered - 2 >= counters->data_segs_out;
}

/* The active end that sent neither data nor a FIN: all that it sent was its SYN. */
static bool sent_a_syn_alone(const struct closing_counters *counters, uint64_t extra)
{
    return extra == 1 && counters->send_queue == 0 && counters->data_segs_out == 0 &&
           counters->delivered == 1;
}

static enum opener opener_of(const struct closing_counters *counters, uint64_t extra)
{
    if (extra == 2 || counters->delivered == 0 || /* an accepted socket has one delivered */
        sent_a_syn_alone(counters, extra))
        return OPENER_LOCAL;
    if (extra == 0 || (extra == 1 && fin_went_alone(counters)))
        return OPENER_REMOTE;
    return OPENER_UNKNOWN;
}

/* Takes the peer's FIN out where nobody read the end of file. */
static void take_unread_fin(struct closing *closing)
{
    if (!closing->fin_acked || !closing->one_unread || !closing->bytes_received_may_include_fin)
        return;
    closing->bytes_received--;
    closing->bytes_received_may_include_fin = false;
}

void closing_count(struct closing *closing, const struct closing_counters *counters)
{
    uint64_t payload = sample_payload_sent(counters->bytes_sent, counters->bytes_retrans);
    uint64_t unsent = counters->notsent_bytes;
    uint64_t extra = counters->bytes_acked + counters->send_queue - unsent - payload;
    bool all_acked = counters->send_queue == 0;

    closing->opener = (uint8_t)opener_of(counters, extra);
    closing->established = counters->delivered > 0;
    closing->fin_acked = all_acked && closing->established &&
                         (extra == 2 || (extra == 1 && closing->opener == OPENER_REMOTE));
    closing->opener_hangs_on_fin = all_acked && extra == 1 && closing->opener == OPENER_UNKNOWN;
    closing->bytes_sent = payload;
    closing->bytes_received = counters->bytes_received;
    closing->bytes_received_may_include_fin = counters->bytes_received > 0;
    closing->no_peer_fin = counters->bytes_received == 0;
    closing->unanswered = counters->retransmits > 0 || counters->probes > 0;
    closing->one_unread = counters->recv_queue == 1;
    take_unread_fin(closing);
}

void closing_settle(struct closing *closing, enum closing_sequel sequel)
{
    if (closing->opener_hangs_on_fin && sequel != SEQUEL_NONE) {
        closing->opener = OPENER_REMOTE;
        closing->opener_hangs_on_fin = false;
        closing->fin_acked = true;
        take_unread_fin(closing);
    }
    if (!closing->bytes_received_may_include_fin || !closing->fin_acked ||
        sequel == SEQUEL_TIME_WAIT)
        return;
    if (sequel == SEQUEL_NONE)
        closing->bytes_received--;
    closing->bytes_received_may_include_fin = false;
}
