using System.Text.Json;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Http.Errors;
using Llama3Cluster.Shards.Sampling;

namespace Llama3Cluster.Gateway.Http.Requests;

/// <summary>Reads the body of POST /v1/completions.</summary>
internal static class CompletionRequest
{
    /// <summary>What OpenAI's API takes when <c>max_tokens</c> is absent.</summary>
    private const int DefaultMaxTokens = 16;

    public static CompletionJob Parse(JsonElement body, ServedModel model, EndpointOptions options)
    {
        var fields = new JsonFields(body);
        CommonFields.TakeModel(fields, model);
        CommonFields.TakeLabels(fields);
        fields.Refuse("Text is not inserted before a suffix here.", "suffix");
        IReadOnlyList<Prompt> prompts = PromptField.Parse(
            fields.Require("prompt"), model.Tokenizer.VocabularySize, options.MaxGenerations);
        int choices = CommonFields.TakeChoiceCount(fields, options.MaxChoices);
        TakeBestOf(fields, choices);
        if (prompts.Count * choices > options.MaxGenerations)
            throw ApiException.InvalidValue(
                "n", $"{prompts.Count} prompts times {choices} choices are more than {options.MaxGenerations} answers.");
        int? topLogProbs = (int?)fields.Integer("logprobs", 0, SamplingParameters.MaxTopLogProbs);
        bool echo = fields.Boolean("echo") ?? false;
        if (echo && topLogProbs is not null)
            throw ApiException.Unsupported(
                "echo", "Log-probabilities of prompt tokens are not computed; drop 'echo' or 'logprobs'.");
        (bool stream, bool includeUsage) = CommonFields.TakeStream(fields);
        var job = new CompletionJob
        {
            Prompts = prompts,
            PromptParameter = "prompt",
            Sampling = SamplingFields.Take(fields, topLogProbs, model.Tokenizer.VocabularySize),
            ChoicesPerPrompt = choices,
            MaxTokens = (int)(fields.Integer("max_tokens", 1, int.MaxValue) ?? DefaultMaxTokens),
            IgnoreEnd = fields.Boolean("ignore_eos") ?? false,
            StopStrings = CommonFields.TakeStopStrings(fields),
            Stream = stream,
            IncludeUsage = includeUsage,
            Echo = echo,
        };
        fields.End();
        return job;
    }

    /// <summary>As many candidates as choices leaves nothing to choose from; more would have to be ranked.</summary>
    private static void TakeBestOf(JsonFields fields, int choices)
    {
        if (fields.Integer("best_of", 1, int.MaxValue) is { } bestOf && bestOf != choices)
            throw ApiException.Unsupported("best_of", $"Only the value of 'n' ({choices}) is supported here, not {bestOf}.");
    }
}
