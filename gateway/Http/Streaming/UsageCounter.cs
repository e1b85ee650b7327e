using Llama3Cluster.Gateway.Http.Responses;
using Llama3Cluster.Gateway.Text;

namespace Llama3Cluster.Gateway.Http.Streaming;

/// <summary>Adds up what a response took. A prompt counts once, however many choices continue it.</summary>
internal sealed class UsageCounter(IReadOnlyList<int> promptTokens, int choicesPerPrompt)
{
    private readonly int _promptTokens = promptTokens.Where((_, choice) => choice % choicesPerPrompt == 0).Sum();
    private int _completionTokens;
    private int? _cachedTokens = 0;

    /// <summary>Adds a choice that ended.</summary>
    public void Add(int choice, TextEvent.Finished finished)
    {
        _completionTokens += finished.GeneratedTokens;
        if (choice % choicesPerPrompt == 0)
            _cachedTokens += finished.CachedTokens;
    }

    /// <summary>The sum. Cached tokens are left out when a choice's are not known.</summary>
    public Usage Total() => new(
        _promptTokens,
        _completionTokens,
        _promptTokens + _completionTokens,
        _cachedTokens is { } cached ? new PromptTokensDetails(cached) : null);
}
