using System.Text.Json;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Http.Requests;
using Llama3Cluster.Gateway.Http.Responses;
using Llama3Cluster.Gateway.Http.Streaming;
using Llama3Cluster.Gateway.Text;

namespace Llama3Cluster.Gateway.Http.Endpoints;

/// <summary>POST /v1/chat/completions and /v1/completions.</summary>
internal static class CompletionEndpoints
{
    public static void MapCompletions(this IEndpointRouteBuilder routes)
    {
        routes.MapPost("/v1/chat/completions", ChatAsync);
        routes.MapPost("/v1/completions", CompleteAsync);
    }

    private static async Task ChatAsync(
        HttpContext context, IInferenceService service, EndpointOptions options, CompletionRunner runner)
    {
        ServedModel model = service.Model;
        CompletionJob job;
        using (JsonDocument body = await JsonBody.ReadAsync(context, options.MaxRequestBytes))
            job = ChatRequest.Parse(body.RootElement, model, options);
        string id = NewId("chatcmpl");
        await runner.RunAsync(context, id, job, new ChatFormat(model, id, job.IncludeUsage));
    }

    private static async Task CompleteAsync(
        HttpContext context, IInferenceService service, EndpointOptions options, CompletionRunner runner)
    {
        ServedModel model = service.Model;
        CompletionJob job;
        using (JsonDocument body = await JsonBody.ReadAsync(context, options.MaxRequestBytes))
            job = CompletionRequest.Parse(body.RootElement, model, options);
        string id = NewId("cmpl");
        IReadOnlyList<string>? echoes = job.Echo
            ? [.. job.Prompts.SelectMany(prompt => Enumerable.Repeat(PromptText(prompt, model.Tokenizer), job.ChoicesPerPrompt))]
            : null;
        await runner.RunAsync(context, id, job, new TextFormat(model, id, job.IncludeUsage, job.Sampling.TopLogProbs, echoes));
    }

    private static string PromptText(Prompt prompt, ITokenizer tokenizer) => prompt switch
    {
        Prompt.Text text => text.Value,
        Prompt.Tokens tokens => Detokenizer.Decode(tokenizer, tokens.Ids),
        _ => throw new ArgumentOutOfRangeException(nameof(prompt), prompt, "A plain completion has no chat."),
    };

    private static string NewId(string prefix) => $"{prefix}-{Guid.NewGuid():N}";
}
