using System.Text.Json;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Draining;
using Llama3Cluster.Gateway.Http.Errors;
using Llama3Cluster.Gateway.Http.Requests;
using Llama3Cluster.Gateway.Http.Responses;
using Llama3Cluster.Gateway.Metrics;
using Llama3Cluster.Gateway.Text;

namespace Llama3Cluster.Gateway.Http.Endpoints;

/// <summary>What is served and how it is: models, tokens, health, the cluster.</summary>
internal static class ServiceEndpoints
{
    public static void MapService(this IEndpointRouteBuilder routes)
    {
        routes.MapGet("/v1/models", (IInferenceService service) =>
            Results.Json(new ModelList("list", [CardOf(service.Model)]), ApiJson.Web.ModelList));
        // Names such as meta-llama/Llama-3.1-8B have slashes, which clients send as they are or escaped.
        routes.MapGet("/v1/models/{**id}", GetModel);
        routes.MapPost("/tokenize", TokenizeAsync);
        routes.MapPost("/detokenize", DetokenizeAsync);
        routes.MapGet("/health/live", () => Results.Json(new HealthResponse("live"), ApiJson.Web.HealthResponse));
        routes.MapGet("/health/ready", ReadyAsync);
        routes.MapGet("/cluster", async (HttpContext context, IInferenceService service) =>
            Results.Json(await service.GetSnapshotAsync(context.RequestAborted), ApiJson.Web.ClusterSnapshot));
        routes.MapGet("/metrics", async (HttpContext context, IInferenceService service, PrometheusExporter exporter) =>
        {
            string cluster = ClusterMetrics.Export(await service.GetSnapshotAsync(context.RequestAborted));
            return Results.Text(exporter.Export() + cluster, "text/plain; version=0.0.4; charset=utf-8");
        });
    }

    private static IResult GetModel(string id, IInferenceService service)
    {
        string asked = Uri.UnescapeDataString(id);
        return asked == service.Model.Name
            ? Results.Json(CardOf(service.Model), ApiJson.Web.ModelCard)
            : throw ApiException.ModelNotFound(asked, service.Model.Name);
    }

    private static ModelCard CardOf(ServedModel model) => new(
        model.Name,
        "model",
        model.Created.ToUnixTimeSeconds(),
        "llama3cluster",
        model.ContextLength,
        model.Tokenizer.VocabularySize,
        model.Tokenizer.HasChatFormat);

    private static async Task<IResult> TokenizeAsync(HttpContext context, IInferenceService service, EndpointOptions options)
    {
        ServedModel model = service.Model;
        using JsonDocument body = await JsonBody.ReadAsync(context, options.MaxRequestBytes);
        Prompt prompt = TokenizeRequest.ParseText(body.RootElement, model);
        try
        {
            int[] tokens = model.Tokenizer.Encode(prompt);
            return Results.Json(new TokenizeResponse(tokens.Length, model.ContextLength, tokens), ApiJson.Web.TokenizeResponse);
        }
        catch (PromptException error)
        {
            throw ApiException.BadRequest(error.Message, prompt is Prompt.Chat ? "messages" : "prompt", "invalid_prompt");
        }
    }

    private static async Task<IResult> DetokenizeAsync(HttpContext context, IInferenceService service, EndpointOptions options)
    {
        using JsonDocument body = await JsonBody.ReadAsync(context, options.MaxRequestBytes);
        int[] tokens = TokenizeRequest.ParseTokens(body.RootElement, service.Model);
        return Results.Json(
            new DetokenizeResponse(Detokenizer.Decode(service.Model.Tokenizer, tokens)), ApiJson.Web.DetokenizeResponse);
    }

    private static async Task<IResult> ReadyAsync(HttpContext context, IInferenceService service, GatewayDrain drain)
    {
        if (drain.Draining.IsCancellationRequested)
            return NotReady("The gateway is stopping.");
        ClusterSnapshot snapshot = await service.GetSnapshotAsync(context.RequestAborted);
        return snapshot.Ready
            ? Results.Json(new HealthResponse("ready"), ApiJson.Web.HealthResponse)
            : NotReady(Readiness.ReasonOf(snapshot));
    }

    private static IResult NotReady(string reason) => Results.Json(
        new HealthResponse("not_ready", reason), ApiJson.Web.HealthResponse, statusCode: StatusCodes.Status503ServiceUnavailable);
}
