using System.Text.Json;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Http.Requests;
using Llama3Cluster.Gateway.Http.Streaming;
using Llama3Cluster.Gateway.Security;
using Llama3Cluster.Gateway.Text;

namespace Llama3Cluster.Gateway.Http.Endpoints;

/// <summary>POST /v1/chat/completions and /v1/completions, and how to go on with their streams.</summary>
internal static class CompletionEndpoints
{
    public static void MapCompletions(this IEndpointRouteBuilder routes)
    {
        routes.MapPost("/v1/chat/completions", ChatAsync);
        routes.MapPost("/v1/completions", CompleteAsync);
        routes.MapGet("/v1/generations/{id}/events", ResumeAsync);
    }

    private static async Task ChatAsync(
        HttpContext context, IInferenceService service, EndpointOptions options, CompletionRunner runner)
    {
        CompletionJob job;
        using (JsonDocument body = await JsonBody.ReadAsync(context, options.MaxRequestBytes))
            job = ChatRequest.Parse(body.RootElement, service.Model, options);
        await runner.RunAsync(context, GenerationIds.New("chatcmpl"), job, Presentation.Chat, null);
    }

    private static async Task CompleteAsync(
        HttpContext context, IInferenceService service, EndpointOptions options, CompletionRunner runner)
    {
        ServedModel model = service.Model;
        CompletionJob job;
        using (JsonDocument body = await JsonBody.ReadAsync(context, options.MaxRequestBytes))
            job = CompletionRequest.Parse(body.RootElement, model, options);
        IReadOnlyList<string>? echoes = job.Echo
            ? [.. job.Prompts.SelectMany(prompt => Enumerable.Repeat(PromptText(prompt, model.Tokenizer), job.ChoicesPerPrompt))]
            : null;
        await runner.RunAsync(context, GenerationIds.New("cmpl"), job, Presentation.Text, echoes);
    }

    // A client that lost its stream, perhaps with the gateway that it came from, gets the rest of it.
    private static Task ResumeAsync(HttpContext context, string id, CompletionRunner runner) =>
        runner.ResumeAsync(context, id, StreamPosition.Parse(id, context.Request.Headers["Last-Event-ID"].ToString()));

    private static string PromptText(Prompt prompt, ITokenizer tokenizer) => prompt switch
    {
        Prompt.Text text => text.Value,
        Prompt.Tokens tokens => Detokenizer.Decode(tokenizer, tokens.Ids),
        _ => throw new ArgumentOutOfRangeException(nameof(prompt), prompt, "A plain completion has no chat."),
    };
}
