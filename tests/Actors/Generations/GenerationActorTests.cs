using Akka.Actor;
using Akka.Cluster.Sharding;
using Akka.TestKit;
using Akka.TestKit.Xunit2;
using Llama3Cluster.Actors.Generations;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Actors.Tests.Generations;

public sealed class GenerationActorTests : TestKit
{
    private readonly TestProbe _region;
    private readonly TestProbe _replica;
    private readonly TestProbe _listener;
    private readonly TestProbe _logs;
    private readonly TestProbe _shard;
    private readonly IActorRef _generation;

    public GenerationActorTests()
        : base("akka.test.single-expect-default = 30s") // other tests keep all cores busy
    {
        _region = CreateTestProbe();
        _replica = CreateTestProbe();
        _listener = CreateTestProbe();
        _logs = CreateTestProbe();
        _shard = CreateTestProbe();
        _generation = NewGeneration();
        _generation.Tell(Start(resumable: true));
        Assert.Empty(_region.ExpectMsg<GenerationMessages.Enqueue>().Log);
        _logs.ExpectMsg<LogStoreActor.Create>();
        _generation.Tell(new GenerationMessages.Enqueued("g"), _replica.Ref);
        Assert.Equal(2, _listener.ExpectMsg<GenerationMessages.Attached>().PromptTokens);
    }

    [Fact]
    public void Every_index_must_reach_the_listener_exactly_once_and_in_order()
    {
        foreach (int index in (int[])[0, 0, 1, 1, 0, 2])
            _generation.Tell(Token(index));
        _generation.Tell(new GenerationMessages.Completed("g", FinishReason.EndToken, 4, 0));
        _generation.Tell(new LogStoreActor.Released(4));

        Assert.Equal([0, 1, 2], _listener.ReceiveN(3).Cast<GenerationMessages.TokenSampled>().Select(token => token.Index));
        _listener.ExpectMsg<GenerationMessages.Completed>();
        Assert.Equal([0, 1, 2], _logs.ReceiveN(3).Cast<GenerationMessages.TokenSampled>().Select(token => token.Index));
        _logs.ExpectMsg<GenerationMessages.Completed>();
    }

    [Fact]
    public void No_token_must_be_told_before_the_store_lets_it_go()
    {
        _generation.Tell(Token(0));
        _generation.Tell(Token(1));
        _logs.ReceiveN(2);
        _listener.ExpectNoMsg(TimeSpan.Zero);

        _generation.Tell(new LogStoreActor.Released(1));

        Assert.Equal(0, _listener.ExpectMsg<GenerationMessages.TokenSampled>().Index);
        _listener.ExpectNoMsg(TimeSpan.Zero);
    }

    [Fact]
    public void A_lost_replica_must_be_given_the_log_so_far()
    {
        _generation.Tell(Token(0));
        _generation.Tell(Token(1));
        _logs.ReceiveN(2);

        Sys.Stop(_replica.Ref);

        GenerationMessages.Enqueue again = _region.ExpectMsg<GenerationMessages.Enqueue>();
        Assert.Equal([100, 101], again.Log);
        Assert.Equal([1, 2], again.Prompt);
    }

    [Fact]
    public void A_gap_must_be_asked_for()
    {
        _generation.Tell(Token(0));
        _generation.Tell(Token(2));

        Assert.Equal([100], _region.ExpectMsg<GenerationMessages.Enqueue>().Log);
    }

    [Fact]
    public void An_end_whose_tokens_did_not_all_arrive_must_not_be_taken()
    {
        _generation.Tell(Token(0));
        _generation.Tell(new GenerationMessages.Completed("g", FinishReason.Length, 2, 0));

        Assert.Equal([100], _region.ExpectMsg<GenerationMessages.Enqueue>().Log);
        _generation.Tell(Token(1));
        _generation.Tell(new GenerationMessages.Completed("g", FinishReason.Length, 2, 0));
        _generation.Tell(new LogStoreActor.Released(3));
        _listener.ReceiveN(2);
        _listener.ExpectMsg<GenerationMessages.Completed>();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_listener_that_is_gone_must_free_the_pipeline_and_leave_the_log_of_what_can_be_resumed(bool resumable)
    {
        IActorRef generation = NewGeneration();
        TestProbe listener = CreateTestProbe();
        generation.Tell(Start(resumable) with { Listener = listener });
        _region.ExpectMsg<GenerationMessages.Enqueue>();
        _logs.ExpectMsg<LogStoreActor.Create>();

        Sys.Stop(listener.Ref);

        Assert.Equal("g", _region.ExpectMsg<GenerationMessages.Withdraw>().GenerationId);
        _shard.ExpectMsg<Passivate>();
        if (!resumable)
            _logs.ExpectMsg<LogStoreActor.Forget>();
        Sys.Stop(generation);
        if (resumable)
            _logs.ExpectMsg<LogStoreActor.Park>();
    }

    [Fact]
    public void A_stranger_must_not_cancel_it()
    {
        _generation.Tell(new GenerationMessages.Cancel("g"), CreateTestProbe());
        _region.ExpectNoMsg(TimeSpan.Zero);
        _generation.Tell(new GenerationMessages.Cancel("g"), _listener);
        _region.ExpectMsg<GenerationMessages.Withdraw>();
    }

    [Fact]
    public void An_enqueue_that_nobody_answers_must_be_repeated()
    {
        IActorRef lonely = NewGeneration();
        lonely.Tell(Start(resumable: true) with { GenerationId = "h" });

        Assert.Equal("h", _region.ExpectMsg<GenerationMessages.Enqueue>().GenerationId);
        Assert.Equal("h", _region.ExpectMsg<GenerationMessages.Enqueue>().GenerationId);
    }

    [Fact]
    public void Another_listener_must_take_over_from_where_it_wants()
    {
        for (int i = 0; i < 4; i++)
            _generation.Tell(Token(i));
        _generation.Tell(new LogStoreActor.Released(3));
        _listener.ReceiveN(3);
        TestProbe second = CreateTestProbe();

        _generation.Tell(new GenerationMessages.Attach("g", "owner", 1, second));

        Assert.True(_listener.ExpectMsg<GenerationMessages.Detached>().TakenOver);
        second.ExpectMsg<GenerationMessages.Attached>();
        Assert.Equal(1, second.ExpectMsg<GenerationMessages.TokenSampled>().Index);
        Assert.Equal(2, second.ExpectMsg<GenerationMessages.TokenSampled>().Index);
        _generation.Tell(new LogStoreActor.Released(4));
        Assert.Equal(3, second.ExpectMsg<GenerationMessages.TokenSampled>().Index);
        _listener.ExpectNoMsg(TimeSpan.Zero);
    }

    [Fact]
    public void Another_owner_must_not_learn_that_it_is_there()
    {
        TestProbe stranger = CreateTestProbe();
        _generation.Tell(new GenerationMessages.Attach("g", "stranger", 0, stranger));

        Assert.False(stranger.ExpectMsg<GenerationMessages.Detached>().TakenOver);
        _generation.Tell(Token(0));
        _generation.Tell(new LogStoreActor.Released(1));
        _listener.ExpectMsg<GenerationMessages.TokenSampled>();
        stranger.ExpectNoMsg(TimeSpan.Zero);
    }

    [Fact]
    public void One_that_lived_elsewhere_must_go_on_with_its_log()
    {
        IActorRef reborn = NewGeneration();
        reborn.Tell(new GenerationMessages.Attach("g", "owner", 1, _listener));
        _logs.ExpectMsg<LogStoreActor.Recover>();
        LogMessages.LogToken[] tokens = [new(100, 0, null, 0), new(101, 0, null, 0)];
        reborn.Tell(new LogStoreActor.Recovered(new LogMessages.LogSnapshot(Start(true) with { Listener = null }, tokens, null), true));
        reborn.Tell(new LogStoreActor.Released(2));

        _listener.ExpectMsg<GenerationMessages.Attached>();
        Assert.Equal([100, 101], _region.ExpectMsg<GenerationMessages.Enqueue>().Log);
        Assert.Equal((1, 101), Seen(_listener.ExpectMsg<GenerationMessages.TokenSampled>()));
        reborn.Tell(Token(2));
        reborn.Tell(new LogStoreActor.Released(3));
        Assert.Equal((2, 102), Seen(_listener.ExpectMsg<GenerationMessages.TokenSampled>()));
    }

    [Fact]
    public void A_client_that_is_ahead_of_the_log_must_hear_nothing_twice()
    {
        IActorRef reborn = NewGeneration();
        reborn.Tell(new GenerationMessages.Attach("g", "owner", 3, _listener));
        _logs.ExpectMsg<LogStoreActor.Recover>();
        reborn.Tell(new LogStoreActor.Recovered(new LogMessages.LogSnapshot(Start(true) with { Listener = null }, [new(100, 0, null, 0)], null), true));
        _listener.ExpectMsg<GenerationMessages.Attached>();

        for (int i = 1; i < 5; i++)
            reborn.Tell(Token(i));
        reborn.Tell(new LogStoreActor.Released(5));

        Assert.Equal(3, _listener.ExpectMsg<GenerationMessages.TokenSampled>().Index);
        Assert.Equal(4, _listener.ExpectMsg<GenerationMessages.TokenSampled>().Index);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void What_nobody_knows_must_be_said_only_when_everybody_was_heard(bool certain)
    {
        IActorRef reborn = NewGeneration();
        TestProbe listener = CreateTestProbe();
        reborn.Tell(new GenerationMessages.Attach("g", "owner", 0, listener));
        _logs.ExpectMsg<LogStoreActor.Recover>();
        reborn.Tell(new LogStoreActor.Recovered(null, certain));

        _shard.ExpectMsg<Passivate>();
        if (certain)
            Assert.False(listener.ExpectMsg<GenerationMessages.Detached>().TakenOver);
        else
            listener.ExpectNoMsg(TimeSpan.Zero);
    }

    [Fact]
    public void A_repeated_start_must_find_what_the_first_one_began()
    {
        IActorRef reborn = NewGeneration();
        reborn.Tell(Start(true) with { Again = true });
        _logs.ExpectMsg<LogStoreActor.Recover>();
        reborn.Tell(new LogStoreActor.Recovered(null, true));

        _logs.ExpectMsg<LogStoreActor.Create>();
        Assert.Empty(_region.ExpectMsg<GenerationMessages.Enqueue>().Log);
    }

    private static (int Index, int Token) Seen(GenerationMessages.TokenSampled token) => (token.Index, token.Token);

    private static GenerationMessages.TokenSampled Token(int index) => new("g", index, 100 + index, 0, null);

    // Its parent, as the shard is: passivation arrives there.
    private IActorRef NewGeneration() =>
        _shard.ChildActorOf(GenerationActor.Props(() => _region.Ref, _logs.Ref));

    private GenerationMessages.Start Start(bool resumable) => new(
        "g", "replica-1", [1, 2], SamplingParameters.Greedy, 10, [0], _listener.Ref, false, "owner", resumable, null);
}
