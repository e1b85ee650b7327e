using System.ClientModel;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Tcp.Client;
using Llama3Cluster.Shards.Sampling;
using OpenAI;
using OpenAI.Chat;

namespace Llama3Cluster.Cluster.Tests;

/// <summary>The clients that people use, against the program as they start it.</summary>
public sealed class ClientTests : IAsyncLifetime
{
    private const string Question = "Tell me a story about a dog.";

    private static readonly ChatCompletionOptions Greedy = new() { Temperature = 0, MaxOutputTokenCount = 60 };

    private SingleProcess _server = null!;

    public async Task InitializeAsync() => _server = await SingleProcess.StartAsync();

    public async Task DisposeAsync() => await _server.DisposeAsync();

    [Fact]
    public async Task OpenAIs_own_client_must_get_the_same_chat_streamed_and_whole()
    {
        var client = new ChatClient("demo", new ApiKeyCredential("none"), new OpenAIClientOptions { Endpoint = new Uri(_server.Http.BaseAddress!, "/v1") });

        ChatCompletion whole = await client.CompleteChatAsync([new UserChatMessage(Question)], Greedy);
        var streamed = new List<string>();
        await foreach (StreamingChatCompletionUpdate update in client.CompleteChatStreamingAsync([new UserChatMessage(Question)], Greedy))
            streamed.AddRange(update.ContentUpdate.Select(part => part.Text));

        Assert.StartsWith("Once upon a time", whole.Content.Single().Text, StringComparison.Ordinal);
        Assert.Equal(whole.Content.Single().Text, string.Concat(streamed));
        Assert.InRange(whole.Usage.OutputTokenCount, 1, 60);
    }

    [Fact]
    public async Task The_tcp_client_must_get_the_same_chat_as_http_does()
    {
        var http = new ChatClient("demo", new ApiKeyCredential("none"), new OpenAIClientOptions { Endpoint = new Uri(_server.Http.BaseAddress!, "/v1") });
        ChatCompletion wanted = await http.CompleteChatAsync([new UserChatMessage(Question)], Greedy);

        await using Llama3ClusterClient client = await Llama3ClusterClient.ConnectAsync("127.0.0.1", _server.TcpPort);
        var options = new GenerationOptions
        {
            Prompt = new Prompt.Chat([new Actors.Inference.ChatMessage("user", Question)]),
            Sampling = SamplingParameters.Greedy,
            MaxTokens = 60,
        };
        var text = new List<string>();
        await foreach (GenerationUpdate update in client.GenerateAsync(options))
            text.Add(update.Text);

        Assert.Equal(wanted.Content.Single().Text, string.Concat(text));
    }
}
