using System.Net.Http.Json;
using System.Text.Json;
using Llama3Cluster.Cluster.Tests;
using Llama3Cluster.Kernels.Gpu;

namespace Llama3Cluster.Gateway.Tests.Local;

/// <summary>The whole program on GPUs, over HTTP: the demo model's answers are those of the processor.</summary>
public sealed class GpuServeTests
{
    private const int Tokens = 40;

    private static readonly string[] Prompts = ["Once upon a time", "The dog", "Tell me a story about a dog.", "x"];

    private static readonly Lazy<Task<string[]>> FromProcessor = new(async () =>
    {
        await using SingleProcess server = await SingleProcess.StartAsync("--device", "cpu", "--stages", "1");
        return await Task.WhenAll(Prompts.Select(prompt => CompleteAsync(server, prompt)));
    });

    /// <summary>Each GPU alone, as two slices that share it, and beside the processor.</summary>
    public static TheoryData<string, string> Choices
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (string gpu in Gpus)
            {
                data.Add(gpu, "1");
                data.Add(gpu, "2");
                data.Add($"{gpu},cpu", "2");
            }

            return data;
        }
    }

    public static TheoryData<string> Gpus => [.. GpuDiscovery.List().Select(gpu => gpu.Id)];

    [GpuTheory]
    [MemberData(nameof(Choices))]
    public async Task Answers_over_http_must_be_those_of_the_processor_and_sampled_ones_the_same_again(string device, string stages)
    {
        string[] wanted = await FromProcessor.Value;
        await using SingleProcess server = await SingleProcess.StartAsync("--device", device, "--stages", stages);

        // At once, they share steps: greedy ones beside sampled ones.
        Task<string>[] sampled = [.. Prompts.Select(prompt => CompleteAsync(server, prompt, temperature: 0.7, topK: 40))];
        string[] answers = await Task.WhenAll(Prompts.Select(prompt => CompleteAsync(server, prompt)));

        Assert.Equal(wanted, answers);
        Assert.Equal(await sampled[0], await CompleteAsync(server, Prompts[0], temperature: 0.7, topK: 40));
        Assert.NotEqual(wanted, await Task.WhenAll(sampled));
        JsonElement cluster = await server.Http.GetFromJsonAsync<JsonElement>("/cluster");
        Assert.Contains(device.Split(',')[0], cluster.ToString(), StringComparison.Ordinal);
    }

    [GpuTheory]
    [MemberData(nameof(Gpus))]
    public async Task Too_little_memory_must_be_said_with_the_numbers_before_anything_is_served(string device)
    {
        int http = NodeProcess.FreePort(), tcp = NodeProcess.FreePort(), cluster = NodeProcess.FreePort();
        await using NodeProcess process = NodeProcess.Start(
            "serve", "--device", device, "--memory", "20MiB", "--http", $"127.0.0.1:{http}", "--tcp", $"127.0.0.1:{tcp}", "--cluster", $"127.0.0.1:{cluster}");

        string line = await process.LineAsync("^starting .*does not fit");

        Assert.Matches(@"it needs [\d.]+ MiB \([\d.]+ MiB of weights, [\d.]+ MiB to compute in and [\d.]+ [KM]iB of KV cache for 512 positions\), but 1 device has 20.0 MiB", line);
        Assert.DoesNotContain("ready ", process.Output, StringComparison.Ordinal);
    }

    private static async Task<string> CompleteAsync(SingleProcess server, string prompt, double temperature = 0, int topK = 0)
    {
        using HttpResponseMessage response = await server.Http.PostAsJsonAsync(
            "/v1/completions",
            new { model = "demo", prompt, max_tokens = Tokens, temperature, top_k = topK, seed = 7, ignore_eos = true });
        string body = await response.Content.ReadAsStringAsync();
        Assert.True(response.IsSuccessStatusCode, $"{(int)response.StatusCode}: {body}");
        return JsonSerializer.Deserialize<JsonElement>(body).GetProperty("choices")[0].GetProperty("text").GetString()!;
    }

    /// <summary>A theory over this machine's GPUs, which says so where there is none.</summary>
    private sealed class GpuTheoryAttribute : TheoryAttribute
    {
        public GpuTheoryAttribute()
        {
            if (GpuDiscovery.List().Count == 0)
                Skip = "needs an OpenCL or CUDA device: tests/opencl/run brings OpenCL for the processor";
        }
    }
}
