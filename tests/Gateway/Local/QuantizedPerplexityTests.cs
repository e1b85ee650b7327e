using System.Text;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Local;
using Llama3Cluster.Gateway.Tests.Tokenizers;
using Llama3Cluster.Gateway.Tokenizers;
using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Formats;
using Llama3Cluster.Shards.Files;
using Llama3Cluster.Shards.Quantization;

namespace Llama3Cluster.Gateway.Tests.Local;

/// <summary>What quantization costs a trained model.</summary>
public sealed class QuantizedPerplexityTests : IDisposable
{
    private const int Window = 512;
    private const int Batch = 4;
    private const int TextBytes = 20_000;

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [SharedFact]
    public void Eight_bits_must_stay_within_half_a_percent_of_F32()
    {
        double exact = Measure(WeightFormat.F32), eight = Measure(WeightFormat.Q8_0), four = Measure(WeightFormat.Q4_0);
        Assert.InRange(eight / exact, 0.995, 1.005);
        Assert.InRange(Math.Abs((four / exact) - 1), Math.Abs((eight / exact) - 1), 0.2); // the measure sees what four bits lose
    }

    private double Measure(WeightFormat type)
    {
        string path = _folder.File($"{type}.gguf");
        using (ModelFile source = ModelFile.Open(SharedMaterial.Model("tinystories-656k")))
            ModelQuantizer.Write(source, new QuantizationOptions { Output = path, Type = type, Metadata = GgufVocabularyExport.Of(source) });

        byte[] text = File.ReadAllBytes(Path.Combine(SharedMaterial.Folder, "corpora", "tinystories_valid_part.txt"));
        int[] tokens = TokenizerLoader.Load(path).Encode(new Prompt.Text(Encoding.UTF8.GetString(text, 0, TextBytes)));
        int rows = Perplexity.RowsPerStep(Batch);
        using LocalModel model = LocalModel.Load(path, new DeviceChoice("cpu", 2), 1, Batch, Window, rows, rows, KvFormat.F32, CancellationToken.None);
        return Perplexity.Measure(model, tokens, Window, null, CancellationToken.None).Perplexity;
    }
}
