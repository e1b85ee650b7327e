using System.Net;
using System.Text.Json;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Tests.Fakes;

namespace Llama3Cluster.Gateway.Tests.Http;

public sealed class HttpServiceTests
{
    private const string Card = """
        {"id":"test/model-1","object":"model","created":1700000000,"owned_by":"llama3cluster","context_length":1000,"vocabulary_size":258,"has_chat_format":true}
        """;

    [Fact]
    public async Task The_served_model_must_be_listed()
    {
        await using HttpHost host = await HttpHost.StartAsync();
        JsonElement list = await host.GetJsonAsync("/v1/models");
        Assert.Equal($$"""{"object":"list","data":[{{Card}}]}""", list.GetRawText());
    }

    [Theory]
    [InlineData("/v1/models/test/model-1")]
    [InlineData("/v1/models/test%2Fmodel-1")]
    public async Task The_served_model_must_be_found_by_its_name(string path)
    {
        await using HttpHost host = await HttpHost.StartAsync();
        Assert.Equal(Card, (await host.GetJsonAsync(path)).GetRawText());
    }

    [Fact]
    public async Task Another_model_must_not_be_found()
    {
        await using HttpHost host = await HttpHost.StartAsync();
        JsonElement body = await host.GetJsonAsync("/v1/models/gpt-4o", HttpStatusCode.NotFound);
        Assert.Equal("model_not_found", body.GetProperty("error").GetProperty("code").GetString());
    }

    [Fact]
    public async Task Text_and_chats_must_be_tokenized_as_prompts_are()
    {
        await using HttpHost host = await HttpHost.StartAsync();
        JsonElement text = await host.PostJsonAsync("/tokenize", """{"prompt":"é"}""");
        JsonElement chat = await host.PostJsonAsync(
            "/tokenize", """{"model":"test/model-1","messages":[{"role":"user","content":"x"}]}""");
        JsonElement back = await host.PostJsonAsync("/detokenize", """{"tokens":[256,195,169,65]}""");

        Assert.Equal("""{"count":3,"max_model_len":1000,"tokens":[256,195,169]}""", text.GetRawText());
        Assert.Equal(8, chat.GetProperty("count").GetInt32());
        Assert.Equal("""{"prompt":"éA"}""", back.GetRawText());
    }

    [Theory]
    [InlineData("/tokenize", "{}", "prompt", "missing_required_parameter")]
    [InlineData("/tokenize", "{\"prompt\":\"a\",\"messages\":[]}", "prompt", "invalid_value")]
    [InlineData("/tokenize", "{\"prompt\":\"unencodable\"}", "prompt", "invalid_prompt")]
    [InlineData("/tokenize", "{\"prompt\":\"a\",\"add_special_tokens\":false}", "add_special_tokens", "unknown_parameter")]
    [InlineData("/detokenize", "{\"tokens\":[-1]}", "tokens[0]", "integer_below_min_value")]
    [InlineData("/detokenize", "{\"tokens\":[258]}", "tokens[0]", "integer_above_max_value")]
    [InlineData("/detokenize", "{\"tokens\":\"a\"}", "tokens", "invalid_type")]
    public async Task Bad_token_requests_must_be_refused(string path, string body, string parameter, string code)
    {
        await using HttpHost host = await HttpHost.StartAsync();
        JsonElement error = await host.PostRefusedAsync(path, body);
        Assert.Equal(parameter, error.GetProperty("param").GetString());
        Assert.Equal(code, error.GetProperty("code").GetString());
    }

    [Fact]
    public async Task Readiness_must_follow_the_cluster_and_say_why_not()
    {
        await using HttpHost host = await HttpHost.StartAsync(
            service: new FakeInferenceService { Snapshot = FakeCluster.Loading });
        JsonElement loading = await host.GetJsonAsync("/health/ready", HttpStatusCode.ServiceUnavailable);
        host.Service.Snapshot = FakeCluster.Loading with { Replicas = [] };
        JsonElement empty = await host.GetJsonAsync("/health/ready", HttpStatusCode.ServiceUnavailable);
        ReplicaSnapshot brokenReplica = FakeCluster.Ready.Replicas[0] with { State = "broken" };
        host.Service.Snapshot = FakeCluster.Ready with { Ready = false, Replicas = [brokenReplica] };
        JsonElement broken = await host.GetJsonAsync("/health/ready", HttpStatusCode.ServiceUnavailable);
        host.Service.Snapshot = FakeCluster.Ready;
        JsonElement ready = await host.GetJsonAsync("/health/ready");

        Assert.Equal("""{"status":"not_ready","reason":"Pipeline r0 is loading: 25 % of its weights are there."}""", loading.GetRawText());
        Assert.Equal("No pipeline is planned over the 2 nodes of the cluster.", empty.GetProperty("reason").GetString());
        Assert.Equal("No pipeline is active: r0 is broken.", broken.GetProperty("reason").GetString());
        Assert.Equal("""{"status":"ready"}""", ready.GetRawText());
    }

    [Fact]
    public async Task Liveness_must_not_depend_on_the_cluster()
    {
        await using HttpHost host = await HttpHost.StartAsync(
            service: new FakeInferenceService { Snapshot = FakeCluster.Loading });
        Assert.Equal("""{"status":"live"}""", (await host.GetJsonAsync("/health/live")).GetRawText());
    }

    [Fact]
    public async Task The_cluster_must_be_shown_in_snake_case()
    {
        await using HttpHost host = await HttpHost.StartAsync();
        JsonElement cluster = await host.GetJsonAsync("/cluster");
        JsonElement replica = cluster.GetProperty("replicas")[0];
        Assert.Equal(2048, replica.GetProperty("kv_blocks").GetInt32());
        Assert.Equal(37.5, replica.GetProperty("tokens_per_second").GetDouble());
        Assert.Equal(12, replica.GetProperty("stages")[1].GetProperty("first_layer").GetInt32());
        Assert.Equal("cuda:0", cluster.GetProperty("nodes")[1].GetProperty("devices")[0].GetProperty("name").GetString());
    }
}
