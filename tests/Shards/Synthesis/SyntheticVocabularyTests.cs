using Llama3Cluster.Shards.Synthesis;

namespace Llama3Cluster.Shards.Tests.Synthesis;

public sealed class SyntheticVocabularyTests
{
    [Theory]
    [InlineData(512, 496)]
    [InlineData(128256, 128000)]
    public void A_vocabulary_must_be_whole_and_unique_with_llama_3s_special_tokens(int size, int firstSpecial)
    {
        Vocabulary vocabulary = SyntheticVocabulary.Create(size);
        Assert.Equal(size, vocabulary.Tokens.Distinct().Count());
        Assert.Equal(size, vocabulary.Types.Count);
        Assert.Equal(firstSpecial, vocabulary.Types.Count(type => type == TokenType.Normal));
        Assert.Equal(firstSpecial, vocabulary.BosToken);
        Assert.Equal([firstSpecial + 1, firstSpecial + 8, firstSpecial + 9], vocabulary.EosTokens);
    }

    [Fact]
    public void Every_merge_must_join_tokens_into_a_token()
    {
        Vocabulary vocabulary = SyntheticVocabulary.Create(128256);
        HashSet<string> tokens = [.. vocabulary.Tokens];
        Assert.Equal(128000 - 256, vocabulary.Merges.Count);
        Assert.All(vocabulary.Merges, merge =>
        {
            string[] parts = merge.Split(' ');
            Assert.Equal(2, parts.Length);
            Assert.True(tokens.Contains(parts[0]) && tokens.Contains(parts[1]) && tokens.Contains(parts[0] + parts[1]), merge);
        });
    }

    [Fact]
    public void Bytes_must_be_spelled_in_gpt_2s_alphabet()
    {
        IReadOnlyList<string> tokens = SyntheticVocabulary.Create(512).Tokens;
        Assert.Equal(("Ā", "Ċ", "Ġ", "!", "a", "ġ", "ł", "¡", "Ń", "®", "ÿ"),
            (tokens[0], tokens['\n'], tokens[' '], tokens['!'], tokens['a'], tokens[0x7F], tokens[0xA0], tokens[0xA1], tokens[0xAD], tokens[0xAE], tokens[0xFF]));
    }
}
