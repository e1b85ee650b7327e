using System.Text;
using Llama3Cluster.Actors.Inference;
using Llama3Cluster.Gateway.Tokenizers;
using Llama3Cluster.Shards.Files;

namespace Llama3Cluster.Gateway.Tests.Tokenizers;

/// <summary>Random text through good files, and random damage to the files themselves.</summary>
public sealed class TokenizerFuzzTests
{
    [Theory]
    [InlineData(TokenizerSource.Tiktoken)]
    [InlineData(TokenizerSource.TokenizerJson)]
    public void Random_text_must_come_back(TokenizerSource source)
    {
        ModelTokenizer tokenizer = TokenizerLoader.Load(SharedMaterial.Demo, source);
        var random = new Random(16);
        for (int round = 0; round < 5_000; round++)
        {
            string text = RandomText.Create(random, random.Next(1, 60));
            Assert.Equal(text, TextStream.Decode(tokenizer, tokenizer.EncodeText(text)));
        }
    }

    /// <summary>tokenizer.model goes through Microsoft.ML.Tokenizers' merges, tokenizer.json through the project's own.</summary>
    [Fact]
    public void Both_files_must_agree_on_random_text()
    {
        ModelTokenizer ranks = TokenizerLoader.Load(SharedMaterial.Demo, TokenizerSource.Tiktoken);
        ModelTokenizer merges = TokenizerLoader.Load(SharedMaterial.Demo, TokenizerSource.TokenizerJson);
        var random = new Random(17);
        for (int round = 0; round < 5_000; round++)
        {
            string text = RandomText.Create(random, random.Next(1, 60));
            Assert.Equal(ranks.EncodeText(text), merges.EncodeText(text));
        }
    }

    [Theory]
    [InlineData("tokenizer.model")]
    [InlineData("tokenizer.json")]
    [InlineData("tokenizer_config.json")]
    [InlineData("generation_config.json")]
    public void Damaged_files_must_load_or_be_refused(string name)
    {
        using var folder = new TemporaryFolder();
        foreach (string file in Directory.GetFiles(SharedMaterial.Demo, "*.*").Where(file => !file.EndsWith(".safetensors")))
            File.Copy(file, folder.File(Path.GetFileName(file)));

        TokenizerSource source = name == "tokenizer.json" ? TokenizerSource.TokenizerJson : TokenizerSource.Tiktoken;
        AssertSurvives(folder, name, source, File.ReadAllBytes(folder.File(name)), new Random(18), rounds: 150);
    }

    [Fact]
    public void Damaged_SentencePiece_files_must_load_or_be_refused()
    {
        using var folder = new TemporaryFolder();
        byte[] good = Encoding.UTF8.GetBytes(TestTokenizerJson.SentencePiece().Root.ToJsonString());
        AssertSurvives(folder, "tokenizer.json", TokenizerSource.TokenizerJson, good, new Random(19), rounds: 600);
    }

    private static void AssertSurvives(
        TemporaryFolder folder, string name, TokenizerSource source, byte[] good, Random random, int rounds)
    {
        int refused = 0;
        for (int round = 0; round < rounds; round++)
        {
            File.WriteAllBytes(folder.File(name), Damage(good, random));
            try
            {
                ModelTokenizer tokenizer = TokenizerLoader.Load(folder.Path, source);
                int[] tokens = tokenizer.Encode(new Prompt.Text("Once upon a time, 12 🚀\n"));
                Assert.All(tokens, token => Assert.InRange(token, 0, tokenizer.VocabularySize - 1));
            }
            catch (ModelFileException exception)
            {
                Assert.NotEmpty(exception.Message);
                refused++;
            }
        }

        Assert.InRange(refused, 1, rounds);
    }

    /// <summary>A cut, a repeated or a lost stretch, or a few changed bytes, half of them to what JSON is made of.</summary>
    private static byte[] Damage(byte[] good, Random random)
    {
        int start = random.Next(good.Length);
        int length = random.Next(Math.Min(40, good.Length - start));
        switch (random.Next(5))
        {
            case 0:
                return good[..start];
            case 1:
                return [.. good[..start], .. good[(start + length)..]];
            case 2:
                return [.. good[..(start + length)], .. good[start..]];
            default:
                byte[] bytes = [.. good];
                ReadOnlySpan<byte> likely = "0123456789-.\"\\{}[],: ntfu"u8;
                for (int count = random.Next(1, 4); count > 0; count--)
                {
                    byte value = random.Next(2) == 0 ? likely[random.Next(likely.Length)] : (byte)random.Next(256);
                    bytes[random.Next(bytes.Length)] = value;
                }

                return bytes;
        }
    }
}
