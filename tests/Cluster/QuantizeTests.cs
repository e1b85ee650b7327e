using System.Net.Http.Json;
using System.Text.Json;

namespace Llama3Cluster.Cluster.Tests;

/// <summary>A model that the program has quantized must serve like any other.</summary>
public sealed class QuantizeTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("llama3cluster-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task The_demo_model_in_its_own_precision_must_give_the_same_text()
    {
        string file = await QuantizeAsync("bf16");
        string[] greedy = ["--chat", "Tell me a story about a dog.", "--temperature", "0", "--max-tokens", "60"];
        Assert.Equal(await RunAsync(["generate", .. greedy]), await RunAsync(["generate", "--model", file, .. greedy]));
    }

    [Fact]
    public async Task The_demo_model_in_eight_bits_must_answer_a_chat()
    {
        await using SingleProcess server = await SingleProcess.StartAsync("--model", await QuantizeAsync("q8_0"));

        using HttpResponseMessage answer = await server.Http.PostAsJsonAsync(new Uri("/v1/chat/completions", UriKind.Relative), new
        {
            model = "demo",
            max_tokens = 40,
            temperature = 0,
            messages = new[] { new { role = "user", content = "Tell me a story about a dog." } },
        });

        answer.EnsureSuccessStatusCode();
        var body = await answer.Content.ReadFromJsonAsync<JsonElement>();
        Assert.StartsWith(
            "Once upon a time", body.GetProperty("choices")[0].GetProperty("message").GetProperty("content").GetString()!, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("synth", "--shape", "llama3.2-1b", "--layers", "1", "--type", "f32")]
    [InlineData("quantize", "--type", "q6_k")]
    public async Task An_interrupt_must_remove_the_partial_file(params string[] arguments)
    {
        if (arguments[0] == "quantize")
            arguments = [.. arguments, "--model", await SynthesizeAsync()];
        string file = Path.Combine(_folder, "interrupted.gguf");
        await using NodeProcess process = NodeProcess.Start([.. arguments, "--out", file]);
        while (Directory.GetFiles(_folder, "interrupted.gguf.*").Length == 0 && !process.HasExited)
            await Task.Yield();

        Assert.Equal(130, await process.InterruptAsync());

        Assert.Empty(Directory.GetFiles(_folder, "interrupted.gguf*"));
    }

    // Large enough to take seconds to encode, small enough to be written in one.
    private async Task<string> SynthesizeAsync()
    {
        string file = Path.Combine(_folder, "large.gguf");
        await RunAsync(["synth", "--shape", "llama3.2-1b", "--layers", "1", "--type", "q8_0", "--out", file]);
        return file;
    }

    private async Task<string> QuantizeAsync(string type)
    {
        string file = Path.Combine(_folder, $"{type}.gguf");
        Assert.Contains("57 x", await RunAsync(["quantize", "--type", type, "--out", file]), StringComparison.Ordinal);
        return file;
    }

    // Without the lines about memory and speed.
    private static async Task<string> RunAsync(string[] arguments)
    {
        await using NodeProcess process = NodeProcess.Start(arguments);
        Assert.Equal(0, await process.ExitAsync());
        return string.Join('\n', process.Output.Split('\n').Where(line => !line.StartsWith('[')));
    }
}
