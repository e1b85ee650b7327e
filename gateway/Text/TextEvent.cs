using Llama3Cluster.Actors.Inference;

namespace Llama3Cluster.Gateway.Text;

/// <summary>What a <see cref="TextGeneration"/> yields: tokens with the text they complete, then one end.</summary>
internal abstract record TextEvent
{
    private TextEvent()
    {
    }

    /// <summary>
    /// A token. Its text may come with a later one: half a character and what may become a stop string are held back.
    /// </summary>
    public sealed record Token(GenerationEvent.TokenGenerated Generated, string Text) : TextEvent;

    /// <summary>The end.</summary>
    /// <param name="Text">Text that was held back and turned out to belong to the answer.</param>
    /// <param name="StoppedByModel">Whether an end token or a stop string ended it, rather than a limit.</param>
    /// <param name="StopStringMatched">Whether it was a stop string.</param>
    /// <param name="GeneratedTokens">Tokens that were generated.</param>
    /// <param name="CachedTokens">Prompt tokens found in the cache; null when the service did not say.</param>
    public sealed record Finished(
        string Text, bool StoppedByModel, bool StopStringMatched, int GeneratedTokens, int? CachedTokens)
        : TextEvent;
}
