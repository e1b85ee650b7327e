using System.Text;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Http.Responses;
using Llama3Cluster.Gateway.Text;

namespace Llama3Cluster.Gateway.Http.Streaming;

/// <summary>Collects the text of a choice and, if asked for, the tokens that are in it.</summary>
internal sealed class ChoiceText(LogProbAligner? aligner)
{
    private readonly StringBuilder _text = new();
    private readonly List<GenerationEvent.TokenGenerated>? _tokens = aligner is null ? null : [];

    public string Text => _text.ToString();

    public IReadOnlyList<GenerationEvent.TokenGenerated>? Tokens => _tokens;

    public void Add(TextEvent item)
    {
        (string text, List<GenerationEvent.TokenGenerated>? tokens) = Read(item, aligner);
        _text.Append(text);
        if (tokens is not null)
            _tokens!.AddRange(tokens);
    }

    /// <summary>The text that an event adds and the tokens that begin in it; no tokens without an aligner.</summary>
    public static (string Text, List<GenerationEvent.TokenGenerated>? Tokens) Read(TextEvent item, LogProbAligner? aligner)
    {
        switch (item)
        {
            case TextEvent.Token token:
                aligner?.Add(token.Generated);
                return (token.Text, aligner?.Take(token.Text));
            case TextEvent.Finished finished:
                List<GenerationEvent.TokenGenerated>? tokens = aligner?.Take(finished.Text);
                if (!finished.StopStringMatched)
                    tokens?.AddRange(aligner!.TakeRest());
                return (finished.Text, tokens);
            default:
                throw new ArgumentOutOfRangeException(nameof(item), item, "An event that is not text.");
        }
    }
}
