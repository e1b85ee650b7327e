using Llama3Cluster.Actors.Generations;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Shards.Sampling;
using static Llama3Cluster.Actors.Protocol.LogMessages;

namespace Llama3Cluster.Actors.Tests.Generations;

/// <summary>
/// Two gateways, one that owns logs and one that keeps their copies, over a network that loses, repeats, delays and reorders what
/// it carries. The seed decides everything.
/// </summary>
public sealed class LogReplicationSimulationTests
{
    private const int Logs = 4;
    private const int Tokens = 30;

    [Fact]
    public void An_owner_lost_at_any_moment_must_not_take_a_told_token_with_it()
    {
        for (int seed = 0; seed < 40; seed++)
        {
            for (int crash = 1; crash < 160; crash += 3)
            {
                var world = new World(seed, loss: 0, reorder: false);
                for (int step = 0; step < crash; step++)
                    world.Step();
                if (world.HasLagged)
                    continue;

                foreach (OwnLog own in world.Own)
                {
                    // A log of which nothing was told may not have reached the other gateway yet.
                    int kept = world.Copies.Find(own.Log.Id) is { } copy ? copy.Log.Units : 0;
                    Assert.True(kept >= own.Released, $"seed {seed}, crash {crash}: {own.Released} units were told, {kept} are kept");
                    if (world.Copies.Find(own.Log.Id) is { } found)
                        Assert.Equal(World.Truth(own.Log.Id).Take(found.Log.Count), found.Log.TokenIds());
                }
            }
        }
    }

    [Fact]
    public void A_client_that_goes_on_elsewhere_must_see_every_token_once()
    {
        for (int seed = 0; seed < 60; seed++)
        {
            for (int crash = 1; crash < 160; crash += 5)
            {
                var world = new World(seed, loss: 0.1, reorder: true);
                for (int step = 0; step < crash; step++)
                    world.Step();

                foreach (OwnLog own in world.Own)
                {
                    List<int> seen = [.. own.Log.TokenIds().Take(own.Released)];
                    GenerationLog log = world.Copies.Find(own.Log.Id) is { } copy ? copy.Log : new GenerationLog(own.Log.Request);
                    // Sampling depends on the tokens before: what the copy lacks is made again, and is the same.
                    while (log.Count < Tokens)
                        Assert.True(log.TryAppend(log.Count, new LogToken(World.Next(log.Id, log.TokenIds()), 0, null, 0)));
                    seen.AddRange(log.TokenIds().Skip(seen.Count));
                    Assert.Equal(World.Truth(log.Id), seen);
                }
            }
        }
    }

    [Fact]
    public void Whatever_the_network_does_the_copies_must_become_complete()
    {
        for (int seed = 0; seed < 300; seed++)
        {
            var world = new World(seed, loss: 0.2, reorder: true) { CopiesAreLostAt = seed % 90 };
            for (int step = 0; step < 200; step++)
                world.Step();
            world.Heal();
            for (int step = 0; step < 400; step++)
                world.Step();

            foreach (OwnLog own in world.Own)
            {
                Assert.Equal(Tokens + 1, own.Released);
                Assert.Equal(Tokens + 1, own.Acked);
                Assert.Equal(own.Log.TokenIds(), world.Copies.Find(own.Log.Id)?.Log.TokenIds());
                Assert.NotNull(world.Copies.Find(own.Log.Id)?.Log.End);
            }

            foreach (OwnLog own in world.Own)
                world.Channel.Close(own);
            for (int step = 0; step < 100; step++)
                world.Step();
            Assert.Equal(0, world.Copies.Count);
            Assert.False(world.Channel.IsLagging);
        }
    }

    [Fact]
    public void A_gateway_that_does_not_answer_must_hold_the_tokens_for_no_longer_than_the_patience()
    {
        var channel = new LogChannel(1);
        OwnLog own = Opened(channel);
        Assert.True(own.Log.TryAppend(0, new LogToken(5, 0, null, 0)));
        channel.Changed(own);
        Assert.NotNull(channel.Next(now: 1000));
        Assert.False(channel.Tick(1000 + LogChannel.Patience));
        Assert.Equal(-1, own.Release());

        Assert.True(channel.Tick(1001 + LogChannel.Patience));
        Assert.Equal(-1, own.Release()); // the other one does not even know the request
        Assert.True(channel.Tick(1002 + LogChannel.Patience + LogChannel.GoneAfter));

        Assert.Equal(1, own.Release()); // one token without a copy
        Assert.Equal(1, own.Released);
        Assert.True(own.Log.TryAppend(1, new LogToken(6, 0, null, 0)));
        channel.Changed(own);
        Assert.Equal(1, own.Release());
        Assert.NotNull(channel.Next(5000));
        Assert.Null(channel.Next(5000)); // one try at a time
    }

    [Fact]
    public void A_gateway_that_is_late_but_knows_the_request_must_not_hold_its_tokens()
    {
        var (channel, copies) = (new LogChannel(1), new HeldLogs());
        OwnLog own = Opened(channel);
        channel.Acknowledge(copies.Take(channel.Next(0)!, "peer"), 1, []);
        Assert.True(own.Log.TryAppend(0, new LogToken(5, 0, null, 0)));
        channel.Changed(own);
        Assert.NotNull(channel.Next(10));

        Assert.True(channel.Tick(11 + LogChannel.Patience));

        Assert.Equal(1, own.Release());
    }

    [Fact]
    public void A_gateway_that_answers_late_must_get_what_it_missed_and_be_waited_for_again()
    {
        var (channel, copies, changed) = (new LogChannel(1), new HeldLogs(), new List<OwnLog>());
        OwnLog own = Opened(channel);
        LogBatch lost = channel.Next(0)!;
        Assert.True(channel.Tick(LogChannel.ResendAfter + 1));
        Assert.True(own.Log.TryAppend(0, new LogToken(5, 0, null, 0)));
        channel.Changed(own);

        LogBatch again = channel.Next(2000)!;
        Assert.Single(again.Opened);
        channel.Acknowledge(copies.Take(again, "peer"), 2001, changed);

        Assert.False(channel.IsLagging);
        Assert.Equal(1, own.Acked);
        channel.Acknowledge(copies.Take(lost, "peer"), 2002, changed); // an answer to what was given up changes nothing
        Assert.Equal(1, own.Acked);
        Assert.Equal([5], copies.Find("log")!.Value.Log.TokenIds());
    }

    [Fact]
    public void Batches_under_way_must_be_limited_and_carry_what_came_meanwhile_together()
    {
        var channel = new LogChannel(1);
        OwnLog own = Opened(channel);
        for (int i = 0; i < 20; i++)
        {
            Assert.True(own.Log.TryAppend(i, new LogToken(i, 0, null, 0)));
            channel.Changed(own);
            Assert.Equal(i < LogChannel.MaxFlights, channel.Next(0) is not null);
        }

        channel.Acknowledge(new LogAck(1, 1, []), 1, []);

        Assert.Equal(20 - LogChannel.MaxFlights, channel.Next(1)!.Tokens.Length);
    }

    [Fact]
    public void The_word_of_a_logs_present_owner_must_count()
    {
        var copies = new HeldLogs();
        LogOpening opening = new(1, Request("log"));
        copies.Take(new LogBatch(1, 1, [opening], [Entry(1, 0, 10), Entry(1, 1, 11), Entry(1, 2, 12)], [], []), "first");

        LogAck ack = copies.Take(new LogBatch(2, 1, [opening], [Entry(1, 0, 10), Entry(1, 1, 99)], [], []), "second");

        Assert.Empty(ack.Missing);
        Assert.Equal([10, 99], copies.Find("log")!.Value.Log.TokenIds());
        copies.Take(new LogBatch(1, 2, [], [], [], [1]), "first"); // closed by the one that owns it no more
        Assert.Equal(1, copies.Count);
    }

    private static LogEntry Entry(long number, int index, int token) => new(number, index, new LogToken(token, 0, null, 0));

    private static OwnLog Opened(LogChannel channel)
    {
        var own = new OwnLog(new GenerationLog(Request("log")), 1);
        channel.Assign(own);
        return own;
    }

    private static GenerationMessages.Start Request(string id) => new(id, "r", [1, 2, 3], SamplingParameters.Greedy, Tokens, [], null);

    /// <summary>The owner, the keeper and the network between them.</summary>
    private sealed class World
    {
        private const long StepTime = 20;

        private readonly Random _random;
        private readonly List<(long At, object Message)> _network = [];
        private readonly List<OwnLog> _changed = [];
        private double _loss;
        private bool _reorder;
        private long _now;
        private long _lastDelivery;

        public World(int seed, double loss, bool reorder)
        {
            (_random, _loss, _reorder) = (new Random(seed), loss, reorder);
            for (int i = 0; i < Logs; i++)
            {
                var own = new OwnLog(new GenerationLog(Request($"log-{i}")), i + 1);
                Own.Add(own);
                Channel.Assign(own);
            }
        }

        public LogChannel Channel { get; } = new(store: 7);

        public HeldLogs Copies { get; private set; } = new();

        public List<OwnLog> Own { get; } = [];

        public bool HasLagged { get; private set; }

        public int CopiesAreLostAt { get; init; } = -1;

        public static int Next(string id, IEnumerable<int> tokens) =>
            tokens.Aggregate(id.Sum(letter => letter), (hash, token) => ((hash * 31) + token + 7) % 100_003);

        public static List<int> Truth(string id)
        {
            var tokens = new List<int>();
            while (tokens.Count < Tokens)
                tokens.Add(Next(id, tokens));
            return tokens;
        }

        public void Heal() => (_loss, _reorder) = (0, false);

        public void Step()
        {
            _now += StepTime;
            if (_now / StepTime == CopiesAreLostAt)
            {
                Copies = new HeldLogs(); // it started anew, and the owner sees another member of the cluster
                Own.ForEach(Channel.Reopen);
            }

            foreach (OwnLog own in Own.Where(_ => _random.Next(3) == 0))
                Grow(own);
            Send();
            Deliver();
            if (Channel.Tick(_now))
                HasLagged = true;
            foreach (OwnLog own in Own)
                own.Release();
        }

        private void Grow(OwnLog own)
        {
            GenerationLog log = own.Log;
            if (own.Channel is null || log.End is not null)
                return;
            if (log.Count < Tokens)
                Assert.True(log.TryAppend(log.Count, new LogToken(Next(log.Id, log.TokenIds()), 0, null, 0)));
            else
                Assert.True(log.TryEnd(Tokens, new GenerationMessages.Completed(log.Id, FinishReason.Length, Tokens, 0)));
            Channel.Changed(own);
        }

        private void Send()
        {
            while (Channel.Next(_now) is { } batch)
                Post(batch);
        }

        private void Post(object message)
        {
            for (int copies = _loss > 0 && _random.Next(10) == 0 ? 2 : 1; copies > 0; copies--)
            {
                if (_random.NextDouble() < _loss)
                    continue;
                long at = _now + _random.Next(0, _reorder ? 150 : 40);
                if (!_reorder)
                    at = _lastDelivery = Math.Max(at, _lastDelivery);
                _network.Add((at, message));
            }
        }

        private void Deliver()
        {
            foreach ((long at, object message) in _network.Where(item => item.At <= _now).OrderBy(item => item.At).ToList())
            {
                _network.Remove((at, message));
                switch (message)
                {
                    case LogBatch batch:
                        Post(Copies.Take(batch, "owner"));
                        break;
                    case LogAck ack:
                        Channel.Acknowledge(ack, _now, _changed);
                        foreach (OwnLog own in Own.Where(own => ack.Missing.Contains(own.Number) && own.Channel is not null))
                            Channel.Reopen(own);
                        break;
                }
            }
        }
    }
}
