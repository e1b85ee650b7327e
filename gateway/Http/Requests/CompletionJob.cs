using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Security;
using Llama3Cluster.Gateway.Text;
using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Gateway.Http.Requests;

/// <summary>What a chat or plain completion request asks for, checked.</summary>
internal sealed record CompletionJob
{
    /// <summary>The prompts; each is continued <see cref="ChoicesPerPrompt"/> times.</summary>
    public required IReadOnlyList<Prompt> Prompts { get; init; }

    /// <summary>The request field that holds the prompts.</summary>
    public required string PromptParameter { get; init; }

    public required SamplingParameters Sampling { get; init; }

    public int ChoicesPerPrompt { get; init; } = 1;

    public int? MaxTokens { get; init; }

    public bool IgnoreEnd { get; init; }

    public IReadOnlyList<string> StopStrings { get; init; } = [];

    public bool Stream { get; init; }

    /// <summary>Whether a stream ends with a chunk that has the usage.</summary>
    public bool IncludeUsage { get; init; }

    /// <summary>Whether the text of an answer begins with its prompt.</summary>
    public bool Echo { get; init; }

    /// <summary>Generations of the response.</summary>
    public int Choices => Prompts.Count * ChoicesPerPrompt;

    /// <summary>The generations, prompt by prompt; each choice of a prompt draws with a seed of its own.</summary>
    /// <param name="id">The response's id, of which each generation's is made.</param>
    /// <param name="owner">Whom they belong to.</param>
    /// <param name="presentation">How the response is written; for each choice, if they differ.</param>
    public IEnumerable<GenerationRequest> Requests(string id, string owner, Func<int, Presentation> presentation)
    {
        for (int choice = 0; choice < Choices; choice++)
        {
            yield return new GenerationRequest
            {
                Id = GenerationIds.OfChoice(id, choice),
                Prompt = Prompts[choice / ChoicesPerPrompt],
                Sampling = Sampling with { Seed = unchecked(Sampling.Seed + (ulong)(choice % ChoicesPerPrompt)) },
                MaxTokens = MaxTokens,
                IgnoreEnd = IgnoreEnd,
                Owner = owner,
                Resumable = Stream,
                Presentation = Stream ? presentation(choice).Write() : null,
            };
        }
    }
}
