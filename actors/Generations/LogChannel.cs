using static Llama3Cluster.Actors.Protocol.LogMessages;

namespace Llama3Cluster.Actors.Generations;

/// <summary>
/// How the logs of this gateway get to one other gateway: in numbered batches, several under way at a time. Messages may be lost,
/// so what is not acknowledged is sent again; a log of which anything was lost is opened anew. When the other side is late, the
/// channel is lagging: its logs are let go without a copy, and one batch at a time goes on trying until the other has caught up.
/// Knows no actors and no clock.
/// </summary>
internal sealed class LogChannel(long store)
{
    /// <summary>Batches under way at one time.</summary>
    public const int MaxFlights = 4;

    /// <summary>Milliseconds after which a batch without an answer makes the channel lag: the longest that it holds a stream.</summary>
    public const long Patience = 250;

    /// <summary>Milliseconds of lagging after which the other side is taken for gone: the longest that it holds a new stream.</summary>
    public const long GoneAfter = 2000;

    /// <summary>Milliseconds after which a batch without an answer is taken for lost.</summary>
    public const long ResendAfter = 1000;

    /// <summary>Bytes of a batch; a message between nodes may have a few times as many.</summary>
    private const int BatchBytes = 200_000;

    private readonly Queue<Flight> _flights = new();
    private readonly Stack<Flight> _spare = new();
    private readonly Queue<OwnLog> _dirty = new();
    private readonly List<long> _closed = [];
    private readonly List<LogOpening> _opened = [];
    private readonly List<LogEntry> _tokens = [];
    private readonly List<LogEnding> _ended = [];
    private long _sequence;
    private long _laggingSince;

    /// <summary>Whether the other side is late.</summary>
    public bool IsLagging { get; private set; }

    /// <summary>Whether it has been late for so long that new logs do not wait for it either.</summary>
    public bool IsGone { get; private set; }

    /// <summary>Whether an answer is awaited.</summary>
    public bool IsWaiting => _flights.Count > 0;

    /// <summary>Begins to copy a log to the other side.</summary>
    public void Assign(OwnLog log)
    {
        log.Channel = this;
        log.IsDirty = log.IsKept = false;
        Reopen(log);
    }

    /// <summary>Units were added to a log of this channel.</summary>
    public void Changed(OwnLog log)
    {
        if (log.IsDirty)
            return;
        log.IsDirty = true;
        _dirty.Enqueue(log);
    }

    /// <summary>A log of this channel is not needed any more.</summary>
    public void Close(OwnLog log)
    {
        log.Channel = null;
        log.Opening++;
        _closed.Add(log.Number);
    }

    /// <summary>The other side does not have what was sent of a log: all of it is sent again.</summary>
    public void Reopen(OwnLog log)
    {
        log.Opening++;
        log.IsOpened = false;
        log.Sent = log.Acked = 0;
        Changed(log);
    }

    /// <summary>The next batch to send; null when nothing is new or enough is under way.</summary>
    public LogBatch? Next(long now)
    {
        if (_flights.Count >= (IsLagging ? 1 : MaxFlights))
            return null;
        Flight flight = _spare.TryPop(out Flight? spare) ? spare : new Flight();
        int bytes = BatchBytes;
        while (bytes > 0 && _dirty.TryPeek(out OwnLog? log))
        {
            if (log.Channel == this)
            {
                Collect(log, ref bytes, flight);
                if (log.Sent < log.Log.Units)
                    break; // the batch is full
                log.IsDirty = false;
            }

            _dirty.Dequeue();
        }

        flight.Closed.AddRange(_closed);
        if (flight.Logs.Count == 0 && _closed.Count == 0)
        {
            _spare.Push(flight);
            return null;
        }

        (flight.Sequence, flight.SentAt) = (++_sequence, now);
        _flights.Enqueue(flight);
        var batch = new LogBatch(store, _sequence, [.. _opened], [.. _tokens], [.. _ended], [.. _closed]);
        _opened.Clear();
        _tokens.Clear();
        _ended.Clear();
        _closed.Clear();
        return batch;
    }

    /// <summary>The other side has a batch.</summary>
    /// <param name="ack">Its answer.</param>
    /// <param name="now">Milliseconds.</param>
    /// <param name="changed">Gets the logs of which it has more now.</param>
    public void Acknowledge(LogAck ack, long now, ICollection<OwnLog> changed)
    {
        while (_flights.TryPeek(out Flight? flight) && flight.Sequence <= ack.Sequence)
        {
            _flights.Dequeue();
            if (flight.Sequence == ack.Sequence)
            {
                IsLagging = now - flight.SentAt > Patience;
                IsGone = false;
                foreach ((OwnLog log, int opening, int sent) in flight.Logs)
                {
                    if (log.Channel != this || log.Opening != opening)
                        continue;
                    log.Acked = sent;
                    log.IsKept = true;
                    changed.Add(log);
                }
            }
            else
            {
                Lose(flight); // batches arrive in order or not at all
            }

            Recycle(flight);
        }
    }

    /// <summary>Time has passed.</summary>
    /// <returns>Whether the other side became late, or gone: its logs may be let go.</returns>
    public bool Tick(long now)
    {
        if (!_flights.TryPeek(out Flight? oldest))
            return false;
        bool began = !IsLagging && now - oldest.SentAt > Patience;
        if (began)
            (IsLagging, _laggingSince) = (true, now);
        bool gone = IsLagging && !IsGone && now - _laggingSince > GoneAfter;
        IsGone |= gone;
        if (now - oldest.SentAt > ResendAfter)
        {
            while (_flights.TryDequeue(out Flight? flight))
            {
                Lose(flight);
                Recycle(flight);
            }
        }

        return began || gone;
    }

    private void Collect(OwnLog own, ref int bytes, Flight flight)
    {
        GenerationLog log = own.Log;
        if (!own.IsOpened)
        {
            _opened.Add(new LogOpening(own.Number, log.Request));
            own.IsOpened = true;
            bytes -= LogSize.Of(log.Request);
        }

        for (; own.Sent < log.Count && bytes > 0; own.Sent++)
        {
            _tokens.Add(new LogEntry(own.Number, own.Sent, log[own.Sent]));
            bytes -= LogSize.Of(log[own.Sent]);
        }

        if (own.Sent == log.Count && log.End is { } end)
        {
            _ended.Add(new LogEnding(own.Number, log.Count, end));
            own.Sent++;
        }

        flight.Logs.Add((own, own.Opening, own.Sent));
    }

    private void Lose(Flight flight)
    {
        foreach ((OwnLog log, int opening, _) in flight.Logs)
        {
            if (log.Channel == this && log.Opening == opening)
                Reopen(log);
        }

        _closed.AddRange(flight.Closed);
    }

    private void Recycle(Flight flight)
    {
        flight.Logs.Clear();
        flight.Closed.Clear();
        _spare.Push(flight);
    }

    private sealed class Flight
    {
        public long Sequence { get; set; }

        public long SentAt { get; set; }

        public List<(OwnLog Log, int Opening, int Sent)> Logs { get; } = [];

        public List<long> Closed { get; } = [];
    }
}
