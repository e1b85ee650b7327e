using System.Net;
using System.Text;
using System.Text.Json;
using Llama3Cluster.Gateway.Http;

namespace Llama3Cluster.Gateway.Tests.Http;

public sealed class HttpBadRequestTests(HttpHostFixture fixture) : IClassFixture<HttpHostFixture>
{
    private const string Chat = "/v1/chat/completions";
    private const string Text = "/v1/completions";

    [Theory]
    [InlineData("\"bogus\":1", "bogus", "unknown_parameter")]
    [InlineData("\"Temperature\":1", "Temperature", "unknown_parameter")]
    [InlineData("\"chat_template\":\"{{ x }}\"", "chat_template", "unknown_parameter")]
    [InlineData("\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"pattern\":\"(\"}}}]", "tools", "unsupported_parameter")]
    [InlineData("\"functions\":[]", "functions", "unsupported_parameter")]
    [InlineData("\"tool_choice\":\"auto\"", "tool_choice", "unsupported_parameter")]
    [InlineData("\"audio\":{}", "audio", "unsupported_parameter")]
    [InlineData("\"reasoning_effort\":\"low\"", "reasoning_effort", "unsupported_parameter")]
    [InlineData("\"modalities\":[\"text\",\"audio\"]", "modalities", "unsupported_parameter")]
    [InlineData("\"modalities\":\"text\"", "modalities", "unsupported_parameter")]
    [InlineData("\"response_format\":{\"type\":\"json_object\"}", "response_format", "unsupported_parameter")]
    [InlineData("\"response_format\":{\"type\":\"text\",\"schema\":{}}", "response_format.schema", "unknown_parameter")]
    [InlineData("\"response_format\":\"text\"", "response_format", "invalid_type")]
    [InlineData("\"store\":true", "store", "unsupported_parameter")]
    [InlineData("\"service_tier\":\"flex\"", "service_tier", "invalid_value")]
    [InlineData("\"user\":7", "user", "invalid_type")]
    [InlineData("\"metadata\":{\"a\":1}", "metadata.a", "invalid_type")]
    [InlineData("\"temperature\":-0.01", "temperature", "number_below_min_value")]
    [InlineData("\"temperature\":2.01", "temperature", "number_above_max_value")]
    [InlineData("\"temperature\":1e999", "temperature", "number_above_max_value")]
    [InlineData("\"temperature\":\"0.5\"", "temperature", "invalid_type")]
    [InlineData("\"temperature\":\"NaN\"", "temperature", "invalid_type")]
    [InlineData("\"top_p\":0", "top_p", "number_below_min_value")]
    [InlineData("\"top_p\":1e-60", "top_p", "number_below_min_value")]
    [InlineData("\"top_p\":1.1", "top_p", "number_above_max_value")]
    [InlineData("\"top_k\":-2", "top_k", "integer_below_min_value")]
    [InlineData("\"top_k\":1.5", "top_k", "invalid_type")]
    [InlineData("\"min_p\":1.5", "min_p", "number_above_max_value")]
    [InlineData("\"repetition_penalty\":0", "repetition_penalty", "number_below_min_value")]
    [InlineData("\"frequency_penalty\":2.5", "frequency_penalty", "number_above_max_value")]
    [InlineData("\"presence_penalty\":-3", "presence_penalty", "number_below_min_value")]
    [InlineData("\"seed\":9223372036854775808", "seed", "integer_above_max_value")]
    [InlineData("\"seed\":-1e300", "seed", "integer_below_min_value")]
    [InlineData("\"seed\":\"1\"", "seed", "invalid_type")]
    [InlineData("\"max_tokens\":0", "max_tokens", "integer_below_min_value")]
    [InlineData("\"max_tokens\":-1", "max_tokens", "integer_below_min_value")]
    [InlineData("\"max_tokens\":99999999999999999999", "max_tokens", "integer_above_max_value")]
    [InlineData("\"max_completion_tokens\":true", "max_completion_tokens", "invalid_type")]
    [InlineData("\"max_tokens\":1,\"max_completion_tokens\":2", "max_tokens", "invalid_value")]
    [InlineData("\"n\":0", "n", "integer_below_min_value")]
    [InlineData("\"n\":17", "n", "integer_above_max_value")]
    [InlineData("\"stop\":\"\"", "stop", "invalid_value")]
    [InlineData("\"stop\":[\"a\",5]", "stop[1]", "invalid_type")]
    [InlineData("\"stop\":{}", "stop", "invalid_type")]
    [InlineData("\"stop\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\"]", "stop", "invalid_value")]
    [InlineData("\"stop\":\"\\ud800\"", "stop", "invalid_value")]
    [InlineData("\"logprobs\":3", "logprobs", "invalid_type")]
    [InlineData("\"top_logprobs\":3", "top_logprobs", "invalid_value")]
    [InlineData("\"logprobs\":true,\"top_logprobs\":21", "top_logprobs", "integer_above_max_value")]
    [InlineData("\"logit_bias\":[]", "logit_bias", "invalid_type")]
    [InlineData("\"logit_bias\":{\"x\":1}", "logit_bias", "invalid_value")]
    [InlineData("\"logit_bias\":{\"-1\":1}", "logit_bias", "invalid_value")]
    [InlineData("\"logit_bias\":{\"258\":1}", "logit_bias", "invalid_value")]
    [InlineData("\"logit_bias\":{\"7\":1,\"07\":1}", "logit_bias", "invalid_value")]
    [InlineData("\"logit_bias\":{\"7\":101}", "logit_bias.7", "number_above_max_value")]
    [InlineData("\"stream\":\"yes\"", "stream", "invalid_type")]
    [InlineData("\"stream_options\":{}", "stream_options", "invalid_value")]
    [InlineData("\"stream\":true,\"stream_options\":{\"bogus\":1}", "stream_options.bogus", "unknown_parameter")]
    [InlineData("\"stream\":true,\"stream_options\":{\"include_obfuscation\":true}", "stream_options.include_obfuscation", "unsupported_parameter")]
    [InlineData("\"ignore_eos\":1", "ignore_eos", "invalid_type")]
    [InlineData("\"prompt\":\"x\"", "prompt", "unknown_parameter")]
    public async Task A_chat_with_a_bad_field_must_name_it(string field, string parameter, string code)
    {
        const string Start = """{"model":"test/model-1","messages":[{"role":"user","content":"Hi"}],""";
        await RefusedAsync(Chat, Start + field + "}", parameter, code);
    }

    [Theory]
    [InlineData("[]", "messages", "invalid_value")]
    [InlineData("null", "messages", "missing_required_parameter")]
    [InlineData("\"Hi\"", "messages", "invalid_type")]
    [InlineData("[\"Hi\"]", "messages[0]", "invalid_type")]
    [InlineData("[{\"content\":\"Hi\"}]", "messages[0].role", "missing_required_parameter")]
    [InlineData("[{\"role\":\"wizard\",\"content\":\"Hi\"}]", "messages[0].role", "invalid_value")]
    [InlineData("[{\"role\":\"tool\",\"content\":\"Hi\",\"tool_call_id\":\"1\"}]", "messages[0].role", "invalid_value")]
    [InlineData("[{\"role\":1,\"content\":\"Hi\"}]", "messages[0].role", "invalid_type")]
    [InlineData("[{\"role\":\"user\"}]", "messages[0].content", "missing_required_parameter")]
    [InlineData("[{\"role\":\"user\",\"content\":7}]", "messages[0].content", "invalid_type")]
    [InlineData("[{\"role\":\"user\",\"content\":[]}]", "messages[0].content", "invalid_value")]
    [InlineData("[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"x\"}}]}]", "messages[0].content[0].type", "invalid_value")]
    [InlineData("[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\",\"x\":1}]}]", "messages[0].content[0].x", "unknown_parameter")]
    [InlineData("[{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}]", "messages[0].content[0].text", "missing_required_parameter")]
    [InlineData("[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"user\",\"content\":\"\\udc00\"}]", "messages[1].content", "invalid_value")]
    [InlineData("[{\"role\":\"user\",\"content\":\"a\",\"name\":\"Bob\"}]", "messages[0].name", "unsupported_parameter")]
    [InlineData("[{\"role\":\"assistant\",\"content\":\"a\",\"tool_calls\":[]}]", "messages[0].tool_calls", "unsupported_parameter")]
    [InlineData("[{\"role\":\"user\",\"content\":\"a\",\"bogus\":1}]", "messages[0].bogus", "unknown_parameter")]
    public async Task Bad_messages_must_be_refused_by_their_place(string messages, string parameter, string code)
    {
        await RefusedAsync(Chat, $$"""{"model":"test/model-1","messages":{{messages}}}""", parameter, code);
    }

    [Theory]
    [InlineData("null", "", "prompt", "missing_required_parameter")]
    [InlineData("\"\"", "", "prompt", "invalid_value")]
    [InlineData("[]", "", "prompt", "invalid_value")]
    [InlineData("[[]]", "", "prompt[0]", "invalid_value")]
    [InlineData("[\"a\",\"\"]", "", "prompt[1]", "invalid_value")]
    [InlineData("[\"a\",1]", "", "prompt[1]", "invalid_type")]
    [InlineData("[1,\"a\"]", "", "prompt[1]", "invalid_type")]
    [InlineData("[[1],2]", "", "prompt[1]", "invalid_type")]
    [InlineData("[1,-1]", "", "prompt[1]", "integer_below_min_value")]
    [InlineData("[258]", "", "prompt[0]", "integer_above_max_value")]
    [InlineData("[1.5]", "", "prompt[0]", "invalid_type")]
    [InlineData("[true]", "", "prompt", "invalid_type")]
    [InlineData("{}", "", "prompt", "invalid_type")]
    [InlineData("\"a\"", ",\"suffix\":\"b\"", "suffix", "unsupported_parameter")]
    [InlineData("\"a\"", ",\"best_of\":3", "best_of", "unsupported_parameter")]
    [InlineData("\"a\"", ",\"echo\":true,\"logprobs\":1", "echo", "unsupported_parameter")]
    [InlineData("\"a\"", ",\"logprobs\":true", "logprobs", "invalid_type")]
    [InlineData("\"a\"", ",\"messages\":[]", "messages", "unknown_parameter")]
    [InlineData("[\"a\",\"b\",\"c\",\"d\",\"e\"]", ",\"n\":16", "n", "invalid_value")]
    public async Task A_completion_with_a_bad_field_must_name_it(string prompt, string more, string parameter, string code)
    {
        await RefusedAsync(Text, $$"""{"model":"test/model-1","prompt":{{prompt}}{{more}}}""", parameter, code);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("null")]
    [InlineData("[]")]
    [InlineData("{\"model\":NaN}")]
    [InlineData("{\"model\":\"test/model-1\",}")]
    [InlineData("{\"model\":\"a\",\"model\":\"b\"}")]
    [InlineData("{\"\\ud800\":1}")]
    [InlineData("{} {}")]
    public async Task A_body_that_is_not_a_JSON_object_must_be_refused(string body)
    {
        await RefusedAsync(Chat, body, null, "invalid_json");
    }

    [Fact]
    public async Task A_deeply_nested_body_must_be_refused()
    {
        await RefusedAsync(
            Chat, "{\"messages\":" + new string('[', 10_000) + new string(']', 10_000) + "}", null, "invalid_json");
    }

    [Fact]
    public async Task Invalid_UTF8_must_be_refused()
    {
        HttpHost host = fixture.Host;
        byte[] body = [.. """{"model":"test/model-1","messages":[{"role":"user","content":" """u8, 0xC3, 0x28, .. "\"}]}"u8];
        using HttpResponseMessage response = await host.PostAsync(Chat, body);
        JsonElement error = (await HttpHost.ReadJsonAsync(response, HttpStatusCode.BadRequest)).GetProperty("error");
        Assert.Contains("UTF-8", error.GetProperty("message").GetString());
    }

    [Fact]
    public async Task The_expected_type_and_range_must_be_named()
    {
        HttpHost host = fixture.Host;
        const string Start = """{"model":"test/model-1","messages":[{"role":"user","content":"Hi"}],""";
        JsonElement type = await host.PostRefusedAsync(Chat, Start + "\"temperature\":\"hot\"}");
        JsonElement range = await host.PostRefusedAsync(Chat, Start + "\"temperature\":2.5}");

        Assert.Equal(
            """{"message":"Invalid type for 'temperature': expected a number, but got a string instead.","type":"invalid_request_error","param":"temperature","code":"invalid_type"}""",
            type.GetRawText());
        Assert.Equal(
            "Invalid 'temperature': expected a number from 0 to 2, but got 2.5 instead.", range.GetProperty("message").GetString());
    }

    [Fact]
    public async Task Another_model_must_be_refused_naming_the_served_one()
    {
        HttpHost host = fixture.Host;
        JsonElement error = await host.PostRefusedAsync(Chat, """{"model":"gpt-4o","messages":[]}""", HttpStatusCode.NotFound);
        Assert.Equal("model_not_found", error.GetProperty("code").GetString());
        Assert.Contains("'gpt-4o'", error.GetProperty("message").GetString());
        Assert.Contains("'test/model-1'", error.GetProperty("message").GetString());
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_large_body_must_be_refused_with_or_without_its_length(bool chunked)
    {
        await using HttpHost host = await HttpHost.StartAsync(new EndpointOptions { MaxRequestBytes = 2000 });
        using var content = new ByteArrayContent(Encoding.UTF8.GetBytes($$"""{"model":"{{new string('x', 3000)}}"}"""));
        content.Headers.ContentType = new("application/json");
        using var request = new HttpRequestMessage(HttpMethod.Post, Chat) { Content = content };
        request.Headers.TransferEncodingChunked = chunked;
        using HttpResponseMessage response = await host.Client.SendAsync(request);
        JsonElement error = (await HttpHost.ReadJsonAsync(response, HttpStatusCode.RequestEntityTooLarge)).GetProperty("error");
        Assert.Contains("2000", error.GetProperty("message").GetString());
    }

    [Theory]
    [InlineData("text/plain")]
    [InlineData("application/json; charset=utf-16")]
    [InlineData("application/x-www-form-urlencoded")]
    public async Task Another_content_type_must_be_refused(string contentType)
    {
        HttpHost host = fixture.Host;
        using HttpResponseMessage response = await host.PostAsync(Chat, "{}"u8.ToArray(), contentType);
        JsonElement error = (await HttpHost.ReadJsonAsync(response, HttpStatusCode.UnsupportedMediaType)).GetProperty("error");
        Assert.Contains("application/json", error.GetProperty("message").GetString());
    }

    [Theory]
    [InlineData("GET", "/v1/embeddings", HttpStatusCode.NotFound, "unknown_url")]
    [InlineData("POST", "/v1/responses", HttpStatusCode.NotFound, "unknown_url")]
    [InlineData("GET", "/v1/chat/completions", HttpStatusCode.MethodNotAllowed, "method_not_allowed")]
    [InlineData("DELETE", "/v1/models", HttpStatusCode.MethodNotAllowed, "method_not_allowed")]
    public async Task Unknown_routes_and_methods_must_be_refused_in_the_shape_of_OpenAI(
        string method, string path, HttpStatusCode status, string code)
    {
        HttpHost host = fixture.Host;
        using var request = new HttpRequestMessage(new HttpMethod(method), path);
        using HttpResponseMessage response = await host.Client.SendAsync(request);
        JsonElement error = (await HttpHost.ReadJsonAsync(response, status)).GetProperty("error");
        Assert.Equal(code, error.GetProperty("code").GetString());
        Assert.Contains(path, error.GetProperty("message").GetString());
    }

    private async Task RefusedAsync(string path, string body, string? parameter, string code)
    {
        HttpHost host = fixture.Host;
        JsonElement error = await host.PostRefusedAsync(path, body);
        Assert.Equal(code, error.GetProperty("code").GetString());
        Assert.Equal(parameter, error.GetProperty("param").GetString());
        Assert.Equal("invalid_request_error", error.GetProperty("type").GetString());
        Assert.Empty(host.Service.Requests);
    }
}
