using System.ClientModel;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Http;
using Llama3Cluster.Gateway.Tests.Fakes;
using Llama3Cluster.Gateway.Tests.Http;
using OpenAI;
using OpenAI.Chat;
using OpenAI.Models;

namespace Llama3Cluster.Gateway.Tests.Clients;

/// <summary>OpenAI's own .NET client is the judge of the API's shape.</summary>
public sealed class OpenAIClientTests
{
    private static readonly OpenAI.Chat.ChatMessage[] Hello = [new SystemChatMessage("Be kind."), new UserChatMessage("Hi")];

    [Fact]
    public async Task The_client_must_complete_a_chat()
    {
        await using HttpHost host = await HttpHost.StartAsync();
        ChatCompletion completion = await ChatClientOf(host).CompleteChatAsync(Hello, new ChatCompletionOptions
        {
            Temperature = 0.5f,
            MaxOutputTokenCount = 100,
            StopSequences = { "zebra" },
            EndUserId = "someone",
        });

        Assert.Equal("Hello, world!", completion.Content.Single().Text);
        Assert.Equal(ChatFinishReason.Stop, completion.FinishReason);
        Assert.Equal(ChatMessageRole.Assistant, completion.Role);
        Assert.Equal(14, completion.Usage.OutputTokenCount);
        Assert.Equal(FakeInferenceService.CachedTokens, completion.Usage.InputTokenDetails.CachedTokenCount);
        Assert.Equal("fp_0123456789abcdef", completion.SystemFingerprint);
        GenerationRequest request = Assert.Single(host.Service.Requests);
        Assert.Equal(0.5f, request.Sampling.Temperature);
        Assert.Equal(100, request.MaxTokens);
    }

    [Fact]
    public async Task The_client_must_stream_a_chat()
    {
        await using HttpHost host = await HttpHost.StartAsync();
        var texts = new List<string>();
        ChatFinishReason? reason = null;
        ChatTokenUsage? usage = null;
        await foreach (StreamingChatCompletionUpdate update in ChatClientOf(host).CompleteChatStreamingAsync(Hello))
        {
            texts.AddRange(update.ContentUpdate.Select(part => part.Text));
            reason ??= update.FinishReason;
            usage ??= update.Usage;
        }

        Assert.Equal("Hello, world!", string.Concat(texts));
        Assert.Equal(ChatFinishReason.Stop, reason);
        Assert.Equal(14, usage?.OutputTokenCount);
    }

    [Fact]
    public async Task The_client_must_read_log_probabilities()
    {
        await using HttpHost host = await HttpHost.StartAsync();
        var options = new ChatCompletionOptions { IncludeLogProbabilities = true, TopLogProbabilityCount = 3 };
        ChatCompletion completion = await ChatClientOf(host).CompleteChatAsync(Hello, options);

        Assert.Equal("Hello, world!", string.Concat(completion.ContentTokenLogProbabilities.Select(token => token.Token)));
        Assert.Equal(FakeInferenceService.LogProb(1), completion.ContentTokenLogProbabilities[1].LogProbability);
        Assert.All(completion.ContentTokenLogProbabilities, token => Assert.Equal(3, token.TopLogProbabilities.Count));
    }

    [Fact]
    public async Task The_client_must_see_refusals_as_its_own_exception()
    {
        await using HttpHost host = await HttpHost.StartAsync();
        var options = new ChatCompletionOptions { Tools = { ChatTool.CreateFunctionTool("f") } };
        ClientResultException error = await Assert.ThrowsAsync<ClientResultException>(() =>
            ChatClientOf(host).CompleteChatAsync(Hello, options));
        Assert.Equal(400, error.Status);
        Assert.Contains("unsupported_parameter", error.Message);
    }

    [Fact]
    public async Task The_client_must_retry_when_the_queue_is_full()
    {
        var service = new FakeInferenceService();
        service.Refusal = _ => service.Requests.Count == 1 ? new(FailureCode.QueueFull, "full", 0) : null;
        await using HttpHost host = await HttpHost.StartAsync(service: service);
        ChatCompletion completion = await ChatClientOf(host).CompleteChatAsync(Hello);
        Assert.Equal("Hello, world!", completion.Content.Single().Text);
        Assert.Equal(2, service.Requests.Count);
    }

    [Fact]
    public async Task The_client_must_list_and_get_models_with_its_key()
    {
        await using HttpHost host = await HttpHost.StartAsync(new EndpointOptions { ApiKeys = ["sk-test"] });
        OpenAIModelClient client = ClientOf(host).GetOpenAIModelClient();
        OpenAIModelCollection models = await client.GetModelsAsync();
        OpenAIModel model = await client.GetModelAsync(FakeInferenceService.ModelName);
        Assert.Equal(FakeInferenceService.ModelName, Assert.Single(models).Id);
        Assert.Equal("llama3cluster", model.OwnedBy);
    }

    private static ChatClient ChatClientOf(HttpHost host) => ClientOf(host).GetChatClient(FakeInferenceService.ModelName);

    private static OpenAIClient ClientOf(HttpHost host) =>
        new(new ApiKeyCredential("sk-test"), new OpenAIClientOptions { Endpoint = new Uri(host.Address, "v1") });
}
