using Akka.Actor;
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
    private readonly IActorRef _generation;

    public GenerationActorTests()
    {
        _region = CreateTestProbe();
        _replica = CreateTestProbe();
        _listener = CreateTestProbe();
        _generation = Sys.ActorOf(GenerationActor.Props(() => _region.Ref));
        _generation.Tell(new GenerationMessages.Start("g", "replica-1", [1, 2], SamplingParameters.Greedy, 10, [0], _listener.Ref));
        Assert.Empty(_region.ExpectMsg<GenerationMessages.Enqueue>().Log);
        _generation.Tell(new GenerationMessages.Enqueued("g"), _replica.Ref);
    }

    [Fact]
    public void Every_index_must_reach_the_listener_exactly_once_and_in_order()
    {
        foreach (int index in (int[])[0, 0, 2, 1, 1, 0, 3, 2])
            _generation.Tell(Token(index));
        _generation.Tell(new GenerationMessages.Completed("g", FinishReason.EndToken, 4, 0));

        Assert.Equal(0, _listener.ExpectMsg<GenerationMessages.TokenSampled>().Index);
        Assert.Equal(1, _listener.ExpectMsg<GenerationMessages.TokenSampled>().Index);
        Assert.Equal(2, _listener.ExpectMsg<GenerationMessages.TokenSampled>().Index);
        _listener.ExpectMsg<GenerationMessages.Completed>();
    }

    [Fact]
    public void A_lost_replica_must_be_given_the_log_so_far()
    {
        _generation.Tell(Token(0));
        _generation.Tell(Token(1));
        _listener.ReceiveN(2);

        Sys.Stop(_replica.Ref);

        GenerationMessages.Enqueue again = _region.ExpectMsg<GenerationMessages.Enqueue>();
        Assert.Equal([100, 101], again.Log);
        Assert.Equal([1, 2], again.Prompt);
    }

    [Fact]
    public void A_listener_that_is_gone_must_end_the_generation()
    {
        Sys.Stop(_listener.Ref);

        Assert.Equal("g", _region.ExpectMsg<GenerationMessages.Withdraw>().GenerationId);
    }

    [Fact]
    public void A_cancelled_generation_must_be_withdrawn_and_say_no_more()
    {
        _generation.Tell(new GenerationMessages.Cancel("g"));
        _generation.Tell(Token(0));

        _region.ExpectMsg<GenerationMessages.Withdraw>();
        _listener.ExpectNoMsg(TimeSpan.Zero);
    }

    [Fact]
    public void An_enqueue_that_nobody_answers_must_be_repeated()
    {
        IActorRef lonely = Sys.ActorOf(GenerationActor.Props(() => _region.Ref));
        lonely.Tell(new GenerationMessages.Start("h", "replica-1", [1], SamplingParameters.Greedy, 10, [], _listener.Ref));

        Assert.Equal("h", _region.ExpectMsg<GenerationMessages.Enqueue>().GenerationId);
        Assert.Equal("h", _region.ExpectMsg<GenerationMessages.Enqueue>().GenerationId);
    }

    private static GenerationMessages.TokenSampled Token(int index) => new("g", index, 100 + index, 0, null);
}
