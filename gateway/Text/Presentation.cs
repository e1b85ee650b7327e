using System.Text.Json;
using System.Text.Json.Serialization;
using Llama3Cluster.Actors.Inference;

namespace Llama3Cluster.Gateway.Text;

/// <summary>
/// How an endpoint writes an answer: kept in the cluster beside its tokens, so that any gateway can go on with the same words.
/// </summary>
internal sealed record Presentation
{
    public const string Chat = "chat";
    public const string Text = "text";
    public const string Tcp = "tcp";

    /// <summary>Which endpoint's answer it is.</summary>
    public required string Kind { get; init; }

    /// <summary>When the request came, in Unix seconds.</summary>
    public long Created { get; init; }

    /// <summary>Generations of the response that this one belongs to.</summary>
    public int Choices { get; init; } = 1;

    public int ChoicesPerPrompt { get; init; } = 1;

    public IReadOnlyList<string> StopStrings { get; init; } = [];

    /// <summary>Whether a stream ends with its usage.</summary>
    public bool IncludeUsage { get; init; }

    /// <summary>Alternatives asked for with each token; null for no log-probabilities.</summary>
    public int? TopLogProbs { get; init; }

    /// <summary>What the text begins with; null when the prompt is not echoed.</summary>
    public string? Echo { get; init; }

    public string Write() => JsonSerializer.Serialize(this, PresentationJson.Default.Presentation);

    /// <summary>Reads what <see cref="Write"/> wrote.</summary>
    /// <exception cref="GenerationFailedException">It was written by a release that this one does not understand.</exception>
    public static Presentation Read(string? text)
    {
        try
        {
            if (text is not null && JsonSerializer.Deserialize(text, PresentationJson.Default.Presentation) is { } presentation)
                return presentation;
        }
        catch (JsonException)
        {
            // said below
        }

        throw new GenerationFailedException(new GenerationEvent.Failed(
            FailureCode.Failed, "The answer was begun by a gateway of another release, which wrote it in a way that this one does not know."));
    }
}

[JsonSerializable(typeof(Presentation))]
internal sealed partial class PresentationJson : JsonSerializerContext;
