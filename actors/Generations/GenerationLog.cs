using Llama3Cluster.Actors.Protocol;
using static Llama3Cluster.Actors.Protocol.LogMessages;

namespace Llama3Cluster.Actors.Generations;

/// <summary>
/// What is known of one answer: the request, its tokens, and its end. It counts in units: a unit for each token and one for the
/// end, so that the end travels and is acknowledged as the tokens are.
/// </summary>
internal sealed class GenerationLog
{
    private readonly List<LogToken> _tokens = [];

    public GenerationLog(GenerationMessages.Start request) => Request = request with { Listener = null, Again = false };

    public GenerationLog(LogSnapshot snapshot)
        : this(snapshot.Request)
    {
        _tokens.AddRange(snapshot.Tokens);
        End = snapshot.End;
    }

    public GenerationMessages.Start Request { get; }

    public string Id => Request.GenerationId;

    public GenerationMessages.Completed? End { get; private set; }

    /// <summary>Tokens of the answer.</summary>
    public int Count => _tokens.Count;

    public int Units => _tokens.Count + (End is null ? 0 : 1);

    public LogToken this[int index] => _tokens[index];

    /// <summary>Takes the next token; no other one.</summary>
    public bool TryAppend(int index, in LogToken token)
    {
        if (index != _tokens.Count || End is not null)
            return false;
        _tokens.Add(token);
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
        if (index < _tokens.Count && _tokens[index].Token != token.Token)
            Cut(index);
        if (index == _tokens.Count)
        {
            _tokens.Add(token);
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
    public int[] TokenIds()
    {
        int[] ids = new int[_tokens.Count];
        for (int i = 0; i < ids.Length; i++)
            ids[i] = _tokens[i].Token;
        return ids;
    }

    /// <summary>A copy to send, of as many tokens as the bytes hold: a log without its last tokens is a log, too.</summary>
    public LogSnapshot Snapshot(int maxBytes)
    {
        int bytes = maxBytes - LogSize.Of(Request), count = 0;
        while (count < _tokens.Count && bytes > 0)
            bytes -= LogSize.Of(_tokens[count++]);
        return new LogSnapshot(Request, [.. _tokens.Take(count)], count == _tokens.Count ? End : null);
    }

    private void Cut(int count)
    {
        _tokens.RemoveRange(count, _tokens.Count - count);
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
