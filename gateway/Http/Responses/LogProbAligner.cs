using System.Text;
using Llama3Cluster.Actors.Inference;

namespace Llama3Cluster.Gateway.Http.Responses;

/// <summary>
/// Pairs the tokens of an answer with its text. Text is held back while it may become a stop string or is half a character;
/// a token is reported with the text that has its first byte, and never if a stop string swallowed that.
/// </summary>
internal sealed class LogProbAligner(ITokenizer tokenizer)
{
    private readonly Queue<(GenerationEvent.TokenGenerated Token, long Start)> _held = new();
    private long _tokenBytes;
    private long _textBytes;

    /// <summary>Adds a token; its text comes with <see cref="Take"/>, now or later.</summary>
    public void Add(GenerationEvent.TokenGenerated token)
    {
        _held.Enqueue((token, _tokenBytes));
        _tokenBytes += tokenizer.DecodeBytes(token.Token.Token).Length;
    }

    /// <summary>The tokens that begin in the text that was sent up to and with <paramref name="text"/>.</summary>
    public List<GenerationEvent.TokenGenerated> Take(string text)
    {
        _textBytes += Encoding.UTF8.GetByteCount(text);
        var taken = new List<GenerationEvent.TokenGenerated>();
        while (_held.TryPeek(out var next) && next.Start < _textBytes)
            taken.Add(_held.Dequeue().Token);
        return taken;
    }

    /// <summary>The tokens of a complete answer that <see cref="Take"/> has not given: those without text.</summary>
    public List<GenerationEvent.TokenGenerated> TakeRest()
    {
        var rest = _held.Select(item => item.Token).ToList();
        _held.Clear();
        return rest;
    }
}
