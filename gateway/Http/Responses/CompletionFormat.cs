using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Http.Streaming;

namespace Llama3Cluster.Gateway.Http.Responses;

/// <summary>How the choices of one response are written; chat and plain completions differ in it.</summary>
internal abstract class CompletionFormat(ServedModel model, string id, long created)
{
    protected string Id { get; } = id;

    protected long Created { get; } = created;

    protected string ModelName => model.Name;

    protected ITokenizer Tokenizer => model.Tokenizer;

    /// <summary>The same for every answer that the same weights give.</summary>
    protected string Fingerprint { get; } = "fp_" + model.Fingerprint[..Math.Min(16, model.Fingerprint.Length)];

    /// <summary>Writes what comes before a choice's first text, if anything.</summary>
    public abstract void WriteOpening(EventStreamWriter stream, int choice);

    /// <summary>Writes more text of a choice.</summary>
    /// <param name="stream">Where to.</param>
    /// <param name="choice">The choice's number.</param>
    /// <param name="text">The text.</param>
    /// <param name="tokens">The tokens that begin in it; null when log-probabilities were not asked for.</param>
    public abstract void WriteText(
        EventStreamWriter stream, int choice, string text, IReadOnlyList<GenerationEvent.TokenGenerated>? tokens);

    /// <summary>Writes the end of a choice.</summary>
    public abstract void WriteFinish(EventStreamWriter stream, int choice, string finishReason);

    /// <summary>Writes the usage, after all choices.</summary>
    public abstract void WriteUsage(EventStreamWriter stream, Usage usage);

    /// <summary>The whole response of a request that does not stream.</summary>
    public abstract IResult Whole(IReadOnlyList<CompletedChoice> choices, Usage usage);
}

/// <summary>A complete answer.</summary>
/// <param name="Text">Its text.</param>
/// <param name="Tokens">Its tokens; null when log-probabilities were not asked for.</param>
/// <param name="FinishReason">Why it ended, as OpenAI names it.</param>
internal sealed record CompletedChoice(string Text, IReadOnlyList<GenerationEvent.TokenGenerated>? Tokens, string FinishReason);
