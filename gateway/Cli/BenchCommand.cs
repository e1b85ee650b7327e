using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Llama3Cluster.Gateway.Local;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Planning;
using Llama3Cluster.Shards.Slices;

namespace Llama3Cluster.Gateway.Cli;

/// <summary><c>bench</c>: prefill and decode rates, in rows like llama-bench's.</summary>
internal static class BenchCommand
{
    public static Command Create()
    {
        var model = new ModelOptions();
        Option<IReadOnlyList<int>> prefill = Opt.Numbers("--pp", "512", "Prompt lengths to prefill; 0 for none.");
        Option<IReadOnlyList<int>> decode = Opt.Numbers("--tg", "128", "Answer lengths to decode; 0 for none.");
        Option<IReadOnlyList<int>> batches = Opt.Numbers("--batch", "1", "Sequences decoded together.");
        Option<int> rows = Opt.Number("--max-rows", 256, 1, 8192, "Rows of a prefill chunk.");
        Option<int> repetitions = Opt.Number("--repetitions", 3, 1, 1000, "Measured repetitions of each test, after one to warm up; the median counts.");
        Option<int> stages = ModelOptions.Stages(1);
        Option<bool> json = Opt.Flag("--json", "Print one JSON object a test.");
        var command = new Command("bench", "Measure prefill (pp) and decode (tg) in tokens a second.") { prefill, decode, batches, rows, repetitions, stages, json };
        model.AddTo(command);
        command.SetAction((result, cancellation) =>
        {
            int[] prompts = [.. result.GetValue(prefill)!.Where(n => n > 0)], answers = [.. result.GetValue(decode)!.Where(n => n > 0)], together = [.. result.GetValue(batches)!];
            int longest = prompts.Concat(answers).DefaultIfEmpty(1).Max(), sequences = together.Append(1).Max();
            using LocalModel local = model.Load(result, result.GetValue(stages), sequences, longest, result.GetValue(rows), sequences, cancellation);
            var printer = new Printer(local, result.GetValue(model.Threads) ?? Environment.ProcessorCount, result.GetValue(stages), result.GetValue(json));
            var run = new BenchRun(local);
            foreach (int tokens in prompts)
                printer.Print(run.Prefill(tokens, result.GetValue(repetitions), cancellation));
            foreach (int tokens in answers)
            {
                foreach (int batch in together)
                    printer.Print(run.Decode(tokens, batch, result.GetValue(repetitions), cancellation));
            }

            return Task.FromResult(0);
        });
        return command;
    }

    private sealed class Printer
    {
        private readonly string _model;
        private readonly string _format;
        private readonly long _bytes;
        private readonly string _device;
        private readonly int _threads;
        private readonly int _stages;
        private readonly bool _json;

        public Printer(LocalModel model, int threads, int stages, bool json)
        {
            _model = model.File.Name;
            WeightFormat format = model.File.Tensor(TensorRole.Query).Format;
            _format = format.ToString();
            _bytes = ModelSlice.BytesOf(model.File, SliceRange.Whole(model.File.Config.LayerCount));
            _device = model.Device.Name;
            (_threads, _stages, _json) = (threads, stages, json);
            if (json)
                return;
            Console.WriteLine("| model | type | size | device | threads | stages | test | tokens/s (median) | lowest | highest |");
            Console.WriteLine("| --- | --- | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |");
        }

        public void Print(BenchRow row)
        {
            Console.WriteLine(_json
                ? JsonSerializer.Serialize(new { model = _model, type = _format, bytes = _bytes, device = _device, threads = _threads, stages = _stages, test = row.Test, median = row.Median, rates = row.Rates })
                : string.Create(CultureInfo.InvariantCulture, $"| {_model} | {_format} | {ByteSize.Format(_bytes)} | {_device} | {_threads} | {_stages} | {row.Test} | {row.Median:0.00} | {row.Rates.Min():0.00} | {row.Rates.Max():0.00} |"));
        }
    }
}
