using System.CommandLine;
using System.Text.Json;
using Llama3Cluster.Gateway.Cli;

namespace Llama3Cluster.Gateway.Tests.Cli;

public sealed class BenchCommandTests
{
    private static readonly string[] Tests = ["pp20", "tg4", "tg4 x 3", "pp20 @ d40", "tg4 @ d40", "tg4 x 3 @ d40"];

    [Fact]
    public async Task JsonTellsTheMachineTheModelEveryTestAndMemory()
    {
        JsonElement[] lines = [.. (await RunAsync("--pp", "20", "--tg", "4", "--batch", "1,3", "--depth", "0,40", "--max-rows", "16", "--threads", "1", "--repetitions", "2", "--json"))
            .Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonSerializer.Deserialize<JsonElement>(line))];

        Assert.Equal(["machine", "model", .. Enumerable.Repeat("test", Tests.Length), "memory"], lines.Select(line => line.GetProperty("kind").GetString()!));
        Assert.NotEmpty(lines[0].GetProperty("processor").GetString()!);
        foreach (string ceiling in (string[])["readBytesPerSecond", "byteOperationsPerSecond", "wordOperationsPerSecond", "floatOperationsPerSecond"])
            Assert.True(lines[0].GetProperty(ceiling).GetDouble() > 0, ceiling);
        Assert.True(lines[1].GetProperty("startSeconds").GetDouble() > 0);

        JsonElement[] tests = lines[2..^1];
        Assert.Equal(Tests, tests.Select(test => test.GetProperty("test").GetString()!));
        double stepBytes = lines[1].GetProperty("stepReadBytes").GetDouble();
        foreach (JsonElement test in tests)
        {
            double median = test.GetProperty("median").GetDouble();
            Assert.InRange(median, test.GetProperty("lowest").GetDouble(), test.GetProperty("highest").GetDouble());
            Assert.Equal(2, test.GetProperty("rates").GetArrayLength());
            Assert.True(test.GetProperty("ofOperationsCeiling").GetDouble() > 0);
            string name = test.GetProperty("test").GetString()!;
            if (name.StartsWith("pp", StringComparison.Ordinal))
            {
                Assert.False(test.TryGetProperty("readBytesPerSecond", out _));
                continue;
            }

            int batch = name.Contains("x 3", StringComparison.Ordinal) ? 3 : 1;
            Assert.Equal(stepBytes / batch * median, test.GetProperty("readBytesPerSecond").GetDouble(), 1e-6 * stepBytes * median);
        }

        Assert.True(lines[^1].GetProperty("kvBytes").GetInt64() > 0);
    }

    [Fact]
    public async Task TheTableHasARowATestAndNoSharesWithoutCeilings()
    {
        string output = await RunAsync("--pp", "8", "--tg", "0", "--threads", "1", "--repetitions", "1", "--no-ceilings");

        string[] rows = [.. output.Split('\n').Where(line => line.StartsWith("| ", StringComparison.Ordinal))];
        Assert.Equal(3, rows.Length); // its head, the line below, the test
        Assert.Equal(rows[0].Count(c => c == '|'), rows[2].Count(c => c == '|'));
        Assert.Contains("| pp8 |", rows[2], StringComparison.Ordinal);
        Assert.DoesNotContain("%", output, StringComparison.Ordinal);
        Assert.DoesNotContain("ceilings", output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("--repetitions", "0")]
    [InlineData("--batch", "few")]
    [InlineData("--depth", "-1")]
    public void WrongArgumentsAreNamed(string option, string value)
    {
        ParseResult result = CommandLine.Build().Parse(["bench", option, value]);
        Assert.Contains(result.Errors, error => error.Message.Contains(option, StringComparison.Ordinal));
    }

    private static async Task<string> RunAsync(params string[] arguments)
    {
        using var output = new StringWriter();
        int code = await CommandLine.Build().Parse(["bench", .. arguments]).InvokeAsync(new InvocationConfiguration { Output = output });
        Assert.Equal(0, code);
        return output.ToString();
    }
}
