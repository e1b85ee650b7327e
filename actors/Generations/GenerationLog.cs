using Llama3Cluster.Actors.Protocol;
using Llama3Cluster.Shards.Sampling;
using static Llama3Cluster.Actors.Protocol.LogMessages;

namespace Llama3Cluster.Actors.Generations;

/// <summary>
/// What is known of one answer: the request, its tokens, and its end. It counts in units: a unit for each token and one for the
/// end, so that the end travels and is acknowledged as the tokens are.
/// </summary>
/// <remarks>A gateway keeps thousands of them for minutes, so a token takes four bytes unless log-probabilities were asked for.</remarks>
internal sealed class GenerationLog
{
    private readonly List<int> _tokens = [];
    private readonly List<(float LogProb, TokenLogProb[]? Top)>? _probabilities;
    private int _cachedTokens; // when the first token came; a later life of the answer may find another part of its prompt

    public GenerationLog(GenerationMessages.Start request)
    {
        Request = request with { Listener = null, Again = false };
        _probabilities = request.Sampling.TopLogProbs is null ? null : [];
    }

    public GenerationLog(LogSnapshot snapshot)
        : this(snapshot.Request)
    {
        foreach (ref readonly LogToken token in snapshot.Tokens.AsSpan())
            Add(token);
        End = snapshot.End;
    }

    public GenerationMessages.Start Request { get; }

    public string Id => Request.GenerationId;

    public GenerationMessages.Completed? End { get; private set; }

    /// <summary>Tokens of the answer.</summary>
    public int Count => _tokens.Count;

    public int Units => _tokens.Count + (End is null ? 0 : 1);

    public LogToken this[int index]
    {
        get
        {
            (float logProb, TokenLogProb[]? top) = _probabilities is null ? default : _probabilities[index];
            return new LogToken(_tokens[index], logProb, top, _cachedTokens);
        }
    }

    /// <summary>Takes the next token; no other one.</summary>
    public bool TryAppend(int index, in LogToken token)
    {
        if (index != _tokens.Count || End is not null)
            return false;
        Add(token);
        return true;
    }

    /// <summary>
    /// Takes a token that the owner of the log tells. Where a copy of an earlier owner differs, which only happens when the same
    /// answer is computed by devices of different rounding, the present owner's word counts.
    /// </summary>
    /// <returns>Whether all tokens before it are there.</returns>
    public bool TryPut(int index, in LogToken token)
    {
        if (index < 0 || index > _tokens.Count)
            return false;
        if (index < _tokens.Count && _tokens[index] != token.Token)
            Cut(index);
        if (index == _tokens.Count)
        {
            Add(token);
            End = null;
        }

        return true;
    }

    /// <summary>Takes the end, if it is the end of these tokens.</summary>
    public bool TryEnd(int tokens, GenerationMessages.Completed end)
    {
        if (tokens != _tokens.Count)
            return false;
        End ??= end;
        return true;
    }

    /// <summary>Takes the end that the owner of the log tells.</summary>
    /// <returns>Whether all tokens before it are there.</returns>
    public bool TryPutEnd(int tokens, GenerationMessages.Completed end)
    {
        if (tokens < 0 || tokens > _tokens.Count)
            return false;
        Cut(tokens);
        End = end;
        return true;
    }

    /// <summary>The ids of the tokens so far.</summary>
    public int[] TokenIds() => [.. _tokens];

    /// <summary>A copy to send, of as many tokens as the bytes hold: a log without its last tokens is a log, too.</summary>
    public LogSnapshot Snapshot(int maxBytes)
    {
        int bytes = maxBytes - LogSize.Of(Request), count = 0;
        while (count < _tokens.Count && bytes > 0)
            bytes -= LogSize.Of(this[count++]);
        var tokens = new LogToken[count];
        for (int i = 0; i < count; i++)
            tokens[i] = this[i];
        return new LogSnapshot(Request, tokens, count == _tokens.Count ? End : null);
    }

    private void Add(in LogToken token)
    {
        if (_tokens.Count == 0)
            _cachedTokens = token.CachedTokens;
        _tokens.Add(token.Token);
        _probabilities?.Add((token.LogProb, token.Top));
    }

    private void Cut(int count)
    {
        _tokens.RemoveRange(count, _tokens.Count - count);
        _probabilities?.RemoveRange(count, _probabilities.Count - count);
        End = null;
    }
}

/// <summary>How many bytes parts of a log take in a message, at most.</summary>
internal static class LogSize
{
    private const int TokenBytes = 32;
    private const int AlternativeBytes = 11;
    private const int PromptTokenBytes = 5;
    private const int RequestBytes = 1024;
    private const int BiasBytes = 10;

    public static int Of(in LogToken token) => TokenBytes + ((token.Top?.Length ?? 0) * AlternativeBytes);

    public static int Of(GenerationMessages.Start request) =>
        RequestBytes + (request.Prompt.Length * PromptTokenBytes) + (request.Sampling.LogitBias.Count * BiasBytes) + ((request.Presentation?.Length ?? 0) * 3);
}
