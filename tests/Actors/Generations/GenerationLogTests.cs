using Llama3Cluster.Actors.Generations;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Shards.Sampling;
using static Llama3Cluster.Actors.Protocol.LogMessages;

namespace Llama3Cluster.Actors.Tests.Generations;

public sealed class GenerationLogTests
{
    private static readonly LogToken[] Tokens = [.. Enumerable.Range(0, 5).Select(i => new LogToken(100 + i, -i, [new TokenLogProb(i, -0.5f), new TokenLogProb(7, -2)], 16))];

    [Fact]
    public void Probabilities_that_were_asked_for_must_be_kept_with_their_tokens()
    {
        GenerationLog log = Filled(topLogProbs: 2);

        Assert.Equal(Tokens, Enumerable.Range(0, log.Count).Select(i => log[i]));
        Assert.Equal(Tokens, log.Snapshot(int.MaxValue).Tokens);
        Assert.Equal(Tokens, Enumerable.Range(0, log.Count).Select(i => new GenerationLog(log.Snapshot(int.MaxValue))[i]));
    }

    [Fact]
    public void Probabilities_that_nobody_asked_for_must_not_be_kept()
    {
        GenerationLog log = Filled(topLogProbs: null);

        Assert.Equal(Tokens.Select(token => token with { LogProb = 0, Top = null }), Enumerable.Range(0, log.Count).Select(i => log[i]));
    }

    [Fact]
    public void What_the_owner_tells_anew_must_replace_tokens_with_their_probabilities()
    {
        GenerationLog log = Filled(topLogProbs: 2);
        var other = new LogToken(9, -8, null, 16);

        Assert.True(log.TryPut(2, other));
        Assert.True(log.TryPut(3, Tokens[4]));

        Assert.Equal([Tokens[0], Tokens[1], other, Tokens[4]], Enumerable.Range(0, log.Count).Select(i => log[i]));
        Assert.Equal([100, 101, 9, 104], log.TokenIds());
    }

    [Fact]
    public void A_snapshot_of_few_bytes_must_be_a_log_without_its_end()
    {
        GenerationLog log = Filled(topLogProbs: 2);
        Assert.True(log.TryEnd(5, new GenerationMessages.Completed("g", FinishReason.EndToken, 5, 16)));

        LogSnapshot part = log.Snapshot(LogSize.Of(log.Request) + LogSize.Of(Tokens[0]) + 1);

        Assert.Equal(Tokens[..2], part.Tokens);
        Assert.Null(part.End);
    }

    private static GenerationLog Filled(int? topLogProbs)
    {
        var log = new GenerationLog(new GenerationMessages.Start(
            "g", "replica-1", [1, 2], SamplingParameters.Greedy with { TopLogProbs = topLogProbs }, 10, [0], null, false, "owner", true, null));
        for (int i = 0; i < Tokens.Length; i++)
            Assert.True(log.TryAppend(i, Tokens[i]));
        return log;
    }
}
